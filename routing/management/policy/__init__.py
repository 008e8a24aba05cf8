"""The parts of `manage.py policy`: one module per kind of act, each returning a Report."""
