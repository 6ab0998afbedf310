"""Tiny models and llama.cpp's own server: something real to run swapd with.

    python -m swapd.demo tiny-a --port 5800

Rule 1: a program of its own, started as a model's command; swapd itself never imports it.
Rule 2: what it needs beyond Python comes with the extra `demo`; without it, it says so and ends.
Rule 3: told to end, it ends at once and with 0, whatever it is doing.
"""
