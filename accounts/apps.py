from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from django.contrib.auth import signals

        from accounts.services import access
        from screens import answers

        signals.user_logged_in.connect(access.signed_in)
        signals.user_login_failed.connect(access.sign_in_failed)
        signals.user_logged_out.connect(access.signed_out)
        answers.on_denied(access.denied)
