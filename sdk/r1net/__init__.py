"""r1net: fund, follow and verify decentralised RL fine-tuning."""
