from routing.models.backends import Backend, BackendProbe, SignOff
from routing.models.decisions import Decision, Hold, Projection
from routing.models.documents import DataFlowIssue
from routing.models.policies import PolicyApproval, PolicyVersion
from routing.models.replicas import KillSwitch, Replica, SnapshotRevision
from routing.models.routes import Route

__all__ = [
    "Backend",
    "BackendProbe",
    "DataFlowIssue",
    "Decision",
    "Hold",
    "KillSwitch",
    "PolicyApproval",
    "PolicyVersion",
    "Projection",
    "Replica",
    "Route",
    "SignOff",
    "SnapshotRevision",
]
