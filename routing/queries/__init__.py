"""What the screens of routing read: one call per screen, nothing is changed here."""
