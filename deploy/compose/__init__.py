"""The stack in containers on one host: its secrets, and a first order through it. compose.yaml is the stack itself."""
