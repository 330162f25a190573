"""What runs inside vLLM's environment. Imports vLLM, torch and the standard library, nothing else of the node's.

Started as `python -m r1vllm` with this folder's parent on the path, so it imports its own modules relatively.
"""
