"""The Grafana dashboards as code; `python -m deploy.grafana` writes them as JSON for Grafana's provisioning."""
