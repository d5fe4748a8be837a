"""Measures orders per second from POST to reserved, beside what plain PostgreSQL does for the same rows."""
