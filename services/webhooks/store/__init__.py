"""Rows and values: functions that take a connection. No rules here."""
