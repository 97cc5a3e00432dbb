"""What functions did and what that costs: pure, from figures that ``aws`` and the log bring.

``log`` reads every request out of the functions' log, ``metrics`` puts CloudWatch's figures
together; both make the same rows (``model``), and ``prices`` says what they cost.
"""
