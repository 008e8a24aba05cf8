"""Decides which backend may serve a request, and says why: values in, values out.

Nothing here reads a clock, draws a random number, opens a file or logs; time is a fact.
"""
