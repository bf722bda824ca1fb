"""A real mail server for the tests, which behaves as its arguments say.

It prints its port, writes each message that it accepts as one line of JSON into a file, and ends with its standard input.
"""

import argparse
import asyncio
import itertools
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

# Recipients are quoted, as real servers do it.
REPLIES = {
    "refuse": "550 5.1.1 <{recipient}> no such mailbox",
    "unavailable": "421 4.3.2 come back later, <{recipient}>",
    "greylist": "450 4.7.1 <{recipient}> is greylisted",
    "full": "452 4.2.2 the mailbox of <{recipient}> is full",
    "quota": "550 5.4.5 daily quota exceeded, nothing for <{recipient}>",
}


class Handler:
    def __init__(self, behaviour, messages):
        self.behaviour = behaviour
        self.messages = messages
        self.connections = itertools.count(1)
        self.seen = set()

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        # After STARTTLS a client greets again on the same connection.
        if not hasattr(session, "connection"):
            session.connection = next(self.connections)
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        is_first = address not in self.seen
        self.seen.add(address)
        reply = REPLIES.get(self.behaviour)
        if reply and (self.behaviour != "greylist" or is_first):
            return reply.format(recipient=address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.behaviour == "reject":
            return f"554 5.6.0 <{envelope.rcpt_tos[0]}> does not want this"
        message = {
            "connection": session.connection,
            "hello": session.host_name,
            "encrypted": session.ssl is not None,
            "user": session.auth_data,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.original_content.decode("utf-8"),
        }
        with open(self.messages, "a", encoding="utf-8") as file:
            file.write(json.dumps(message) + "\n")
        return "250 OK"


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("messages")
    parser.add_argument("behaviour", choices=["accept", "reject", *REPLIES])
    parser.add_argument("encryption", choices=["none", "starttls", "tls"])
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--login", help="NAME:PASSWORD, without which no mail is taken")
    arguments = parser.parse_args()

    context = None
    if arguments.encryption != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)

    def authenticate(server, session, envelope, mechanism, data):
        given = f"{data.login.decode()}:{data.password.decode()}"
        return AuthResult(success=given == arguments.login, handled=False, auth_data=data.login.decode())

    handler = Handler(arguments.behaviour, arguments.messages)
    loop = asyncio.get_running_loop()

    def protocol():
        return SMTP(
            handler,
            loop=loop,
            enable_SMTPUTF8=True,
            tls_context=context if arguments.encryption == "starttls" else None,
            require_starttls=arguments.encryption == "starttls",
            authenticator=authenticate if arguments.login else None,
            auth_required=arguments.login is not None,
            auth_require_tls=arguments.encryption == "starttls",
        )

    tls = context if arguments.encryption == "tls" else None
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
