"""HTTP comes in here: trigger webhooks, forms, visits, events of integrations, health and metrics."""
