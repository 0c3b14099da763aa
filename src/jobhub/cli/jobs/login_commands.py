"""`jobhub login`, `logout` and `completion`. Not here: what they do (`login_acts`)."""

import rich_click as click

profile_option = click.option("--profile", default="default", show_default=True, help="The name to keep the login under.")


@click.command()
@click.argument("url", default="http://127.0.0.1:8000")
@click.option("--email", help="Your e-mail address; asked for if it is not given.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it.")
@profile_option
def login(url: str, email: str | None, password_stdin: bool, profile: str) -> None:
    """Log in to the service at URL (http://127.0.0.1:8000), for `jobhub jobs`.

    Tokens are kept in ~/.config/jobhub/profiles.json, readable by you alone; the password is not.
    """
    from jobhub.cli.jobs.login_acts import log_in

    log_in(url, email=email or click.prompt("E-mail address", err=True), has_password_on_stdin=password_stdin, profile=profile)


@click.command()
@profile_option
def logout(profile: str) -> None:
    """Revoke a login and forget it."""
    from jobhub.cli.jobs.login_acts import log_out

    log_out(profile)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, options and job types.

    For bash: jobhub completion bash > ~/.local/share/bash-completion/completions/jobhub
    """
    from jobhub.cli.jobs.login_acts import print_completion

    print_completion(shell)
