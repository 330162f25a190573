"""The vLLM engine: a server process in an environment of its own, spoken to over loopback HTTP.

vLLM's pins clash with the node's, so nothing here imports it. What runs on the other side is `inside/r1vllm`.
"""
