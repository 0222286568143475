"""``rrq completion``: Tab completes commands, options and names."""

import click

from rrq_cli.params import GlobalOptions, only_json

__all__ = ["completion"]

_SHELLS = ("bash", "zsh", "fish")
# Zsh reads the file at the first Tab, which click answers, and calls it again at the second, which click does
# not: from the first on it is to call the function.
_ZSH_FIRST = "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
_ZSH_LATER = "    compdef _rrq_completion rrq\n"


@click.command()
@only_json("completion looks at no Redis")
@click.argument("shell", metavar="SHELL", type=click.Choice(_SHELLS))
def completion(options: GlobalOptions, shell: str) -> None:
    """Print what makes SHELL (bash, zsh or fish) complete rrq's commands and options.

    Names are completed too, of queues, jobs, orchestrators and cron entries; Redis is asked for them, and
    where it does not answer at once there are none.

    bash: rrq completion bash > ~/.local/share/bash-completion/completions/rrq
    zsh: rrq completion zsh > ~/.zfunc/_rrq, with fpath+=~/.zfunc before compinit in ~/.zshrc
    fish: rrq completion fish > ~/.config/fish/completions/rrq.fish

    JSON: {"shell", "script"}
    """
    from click.shell_completion import ShellComplete, get_completion_class

    from rrq_cli.output import json_text

    kind = get_completion_class(shell)
    assert kind is not None
    command = click.get_current_context().find_root().command
    # Not the class's own source(), which starts the shell to ask for its version.
    script = ShellComplete.source(kind(command, {}, "rrq", "_RRQ_COMPLETE"))
    if shell == "zsh":
        script = script.replace(_ZSH_FIRST, _ZSH_FIRST + _ZSH_LATER)
    click.echo(json_text({"shell": shell, "script": script}) if options.as_json else script)
