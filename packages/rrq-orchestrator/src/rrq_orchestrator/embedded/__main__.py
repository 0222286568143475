"""``python -m rrq_orchestrator.embedded start|stop|status --dir .rrq [--json]``."""

from rrq_orchestrator.commands.embedded import embedded

if __name__ == "__main__":
    embedded(prog_name="python -m rrq_orchestrator.embedded")
