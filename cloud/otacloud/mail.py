"""E-mail over SMTP, by the server that the settings name."""

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

TIMEOUT = 15.0


def message(sender: str, to: str, subject: str, text: str) -> EmailMessage:
    """A plain message; a line break in what others named cannot add a header."""
    made = EmailMessage()
    made["From"] = sender
    made["To"] = to
    made["Subject"] = " ".join(subject.split())
    made.set_content(text)
    return made


def send(url: str, mail: EmailMessage) -> None:
    """Hands `mail` to `smtp://[user:password@]host[:port]` (STARTTLS where offered) or `smtps://...`.

    Raises OSError or smtplib.SMTPException. Blocks: call it in a thread.
    """
    parts = urlsplit(url)
    context = ssl.create_default_context()
    host = parts.hostname or "localhost"
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT, context=context)
    else:
        server = smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT)
    with server:
        server.ehlo()
        if parts.scheme != "smtps" and server.has_extn("starttls"):
            server.starttls(context=context)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(mail)
