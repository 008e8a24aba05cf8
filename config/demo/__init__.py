"""The guided demonstration of ``./run``: people, backends, a route with its policy, sample traffic."""
