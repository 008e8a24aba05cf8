"""The parts of a report, one module each, in the order in which they are printed.

A part takes the entries as they go by and says its section at the end. It knows nothing but
entries: whoever has the bundle can compute every figure again.
"""
