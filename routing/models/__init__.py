from routing.models.backends import Backend, BackendProbe, SignOff
from routing.models.backtests import Backtest, BacktestChange
from routing.models.budgets import Budget, Spend
from routing.models.classifiers import Classifier, ClassifierProof, ClassifierTraining
from routing.models.decisions import Decision, Hold, Projection
from routing.models.documents import DataFlowIssue
from routing.models.examples import SavedExample
from routing.models.filters import SavedFilter
from routing.models.policies import PolicyApproval, PolicyVersion
from routing.models.promotion import (
    Incident,
    Promotion,
    PromotionApproval,
    Rollout,
    RolloutUnit,
    Waiver,
)
from routing.models.replicas import KillSwitch, Replica, SnapshotRevision
from routing.models.responses import StoredResponse
from routing.models.routes import Route
from routing.models.traffic import Span, Speed, Traffic
from routing.models.webhooks import WebhookDelivery, WebhookEndpoint, WebhookEvent

__all__ = [
    "Backend",
    "BackendProbe",
    "Backtest",
    "BacktestChange",
    "Budget",
    "Classifier",
    "ClassifierProof",
    "ClassifierTraining",
    "DataFlowIssue",
    "Decision",
    "Hold",
    "Incident",
    "KillSwitch",
    "PolicyApproval",
    "PolicyVersion",
    "Projection",
    "Promotion",
    "PromotionApproval",
    "Replica",
    "Rollout",
    "RolloutUnit",
    "Route",
    "SavedExample",
    "SavedFilter",
    "SignOff",
    "SnapshotRevision",
    "Span",
    "Speed",
    "Spend",
    "StoredResponse",
    "Traffic",
    "Waiver",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
]
