"""Sends a mail of 1 MB with Python's smtplib, which waits for the server's greeting; says what the server got. mail_client.py PORT"""

import hashlib
import smtplib
import sys

BODY = b"Subject: test\r\n\r\n" + b"...a line of the mail, forty bytes long.\r\n" * 25_000

with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), "client.test", timeout=20) as client:
    client.ehlo()
    client.mail("me@client.test")
    client.rcpt("you@mail.test")
    code, answer = client.data(BODY)
    expected = f"{len(BODY)} {hashlib.sha256(BODY).hexdigest()}"
    print(code, "whole" if answer.decode() == expected else answer.decode())
