"""The embedded servers and demo backends of ``./run``: one module each, none of them Django."""
