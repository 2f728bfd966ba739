"""The rule execution server: each room beneath does one job, and only app.py knows them all."""
