#!/usr/bin/env python3
"""Messages and texts against an independent implementation: Python's email package.

Usage: test-messages.py GOOGLE-NATIVE

Whatever is drafted here must be read there as what was asked for; mail that the
package composes must be read here as what it says. Cases are generated from a
fixed seed.
"""

import base64
import email
import email.header
import email.message
import email.policy
import email.utils
import json
import random
import string
import subprocess
import sys

ROUNDS = 300
TEXTS = [
    "", "Plain", "two  spaces", " leading", "trailing ", "=?UTF-8?Q?no?=", "Grüße aus Köln", "日本語の件名をここに書きます" * 8,
    "word " * 60, "x" * 900, "\U0001f600" * 40, "quote \" and \\ backslash", "comma, semicolon; colon: <angle> @ (paren)",
    "ends with ü", "é", "a" * 57 + "é" * 20, "tab-free = equal ? mark _ under", "\u202edrow", "naïve café — “quoted”",
]  # fmt: skip


class Connector:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def run(self, operation, args, *answers):
        call = json.dumps({"op": operation, "args": args})
        replies = json.dumps([part for status, body in answers for part in (status, json.dumps(body))])
        self.process.stdin.write(f"{call}\n{replies}\n")
        self.process.stdin.flush()
        lines = []
        while line := self.process.stdout.readline().rstrip("\n"):
            lines.append(json.loads(line))
        assert lines, f"the connector ended with {self.process.poll()} at {call}"
        return lines[0], lines[1:]


def from_url64(text):
    assert "=" not in text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def drafted(connector, **args):
    answer, requests = connector.run("draft_email", args, (200, {"id": "d1", "message": {"id": "m1", "threadId": "t1"}}))
    assert "output" in answer, answer
    assert answer["output"]["id"] == "d1"
    return from_url64(json.loads(requests[-1]["body"])["message"]["raw"])


def check_shape(raw):
    """What RFC 5322 and 2047 demand of the bytes themselves."""
    head, _, body = raw.partition(b"\r\n\r\n")
    assert raw.isascii() and b"\0" not in raw
    assert b"\n" not in raw.replace(b"\r\n", b"") and b"\r" not in raw.replace(b"\r\n", b"")
    for line in head.split(b"\r\n"):
        assert len(line) <= (76 if b"=?" in line else 998), line
        assert line.strip(), "a header line of spaces only"
        for word in line.split():
            if word.startswith(b"=?"):
                assert len(word.rstrip(b",")) <= 75
    for line in body.split(b"\r\n"):
        assert len(line) <= 76, line


def random_text(rng, length):
    pools = [string.ascii_letters + "    ", "äöüßéñ ", "漢字かな", string.punctuation, "\U0001f600\U0001f4a9"]
    return "".join(rng.choice(rng.choice(pools)) for _ in range(rng.randrange(length)))


def addresses_of(raw, name):
    """By the older of Python's two parsers: the newer one puts spaces between the encoded words of a name."""
    value = email.message_from_bytes(raw)[name].replace("\r\n", "")
    return [(str(email.header.make_header(email.header.decode_header(n))), a) for n, a in email.utils.getaddresses([value])]


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def check_message(connector, subject, body, names):
    people = [(name, f"user{i}.x+tag@sub{i}.example.com") for i, name in enumerate(names)]
    listed = ", ".join(f"{quoted(name)} <{address}>" if name else address for name, address in people)
    raw = drafted(connector, to=listed, cc=listed, bcc="hidden@example.org", subject=subject, body=body)
    check_shape(raw)
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert not message.defects, message.defects
    assert sorted(message.keys()) == sorted(
        ["To", "Cc", "Bcc", "Subject", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"]
    )
    assert message["Subject"] == subject, (subject, message["Subject"], raw)
    assert addresses_of(raw, "To") == people, (people, addresses_of(raw, "To"), raw)
    assert addresses_of(raw, "Cc") == people
    assert addresses_of(raw, "Bcc") == [("", "hidden@example.org")]
    assert message.get_content_type() == "text/plain"
    text = message.get_payload(decode=True).decode("utf-8")
    assert text == body.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n"), (body, text)
    return raw


def test_drafts(connector):
    bodies = ["", "One line", "Two\nlines\n", "old\r\nand\rmixed\n\n", " lead\ntrail \ntab\t\n", "=", "." * 200, "From here\n.\n",
              "Grüße\n" * 50, "日本語" * 200, "a" * 5000, "\x01\x7f\x0b", "é" * 30 + "\n" + "x" * 300]  # fmt: skip
    for i, subject in enumerate(TEXTS):
        name = " ".join(subject.split()) if len(subject.encode()) < 200 else "Short"
        check_message(connector, subject, bodies[i % len(bodies)], ["", name, "Ada Lovelace"])
    for body in bodies:
        check_message(connector, "Body", body, [""])
    rng = random.Random(20260602)
    for _ in range(ROUNDS):
        names = [" ".join(random_text(rng, 40).split()) for _ in range(rng.randrange(1, 6))]
        check_message(connector, random_text(rng, 150), random_text(rng, 600) + rng.choice(["", "\n"]), names)
    many = check_message(connector, "Many", "x", [f"Person Number {i}" for i in range(120)])
    assert max(len(line) for line in many.split(b"\r\n")) <= 78


def gmail_part(message, number="0"):
    """A message of the email package in the shape of Gmail's `full` format."""
    part = {"partId": number, "mimeType": message.get_content_type(), "filename": message.get_filename() or "",
            "headers": [{"name": k, "value": str(v)} for k, v in message.items()], "body": {"size": 0}}  # fmt: skip
    if message.is_multipart():
        part["parts"] = [gmail_part(inner, f"{number}.{i}") for i, inner in enumerate(message.iter_parts())]
    else:
        data = message.get_payload(decode=True)
        part["body"]["size"] = len(data)
        if part["filename"]:
            part["body"]["attachmentId"] = "att"
        else:
            part["body"]["data"] = base64.urlsafe_b64encode(data).decode().rstrip("=")
    return part


def read(connector, message):
    full = {"id": "m1", "threadId": "t1", "labelIds": ["INBOX"], "snippet": "", "payload": gmail_part(message)}
    answer, _ = connector.run("get_email", {"id": "m1", "format": "full"}, (200, full))
    assert "output" in answer, answer
    return answer["output"]


def test_reading(connector):
    rng = random.Random(7)
    for round_number in range(ROUNDS // 2):
        text = random_text(rng, 400) + "\n"
        message = email.message.EmailMessage()
        message["Subject"] = " ".join(random_text(rng, 80).split())
        message["From"] = email.utils.formataddr(("Jörg Ü", "joerg@example.com"))
        message.set_content(text, charset="utf-8")
        if round_number % 3:
            message.add_alternative(f"<p>{round_number}</p>", subtype="html")
        if round_number % 2:
            message.add_attachment(b"\0" * 321, maintype="application", subtype="pdf", filename=f"plan {round_number} ü.pdf")
        got = read(connector, message)
        assert got["body"] == text, (text, got["body"])
        assert got["subject"] == message["Subject"], (got["subject"], message["Subject"])
        assert got["from"] == str(message["From"])
        names = [(a["name"], a["size"]) for a in got["attachments"]]
        assert names == ([(f"plan {round_number} ü.pdf", 321)] if round_number % 2 else [])


def test_encoded_headers(connector):
    """Headers as they are on the wire, which an answer may hold undecoded."""
    rng = random.Random(9)
    for _ in range(ROUNDS):
        subject = " ".join(random_text(rng, 120).split())
        charset = rng.choice(["utf-8", "iso-8859-1"]) if all(ord(c) < 256 for c in subject) else "utf-8"
        wire = email.header.Header(subject, charset, maxlinelen=70).encode()
        answer, _ = connector.run(
            "get_email", {"id": "m1", "format": "metadata"},
            (200, {"id": "m1", "payload": {"headers": [{"name": "subject", "value": wire}]}}))  # fmt: skip
        assert answer["output"]["subject"] == subject, (subject, wire, answer["output"]["subject"])


def test_charsets(connector):
    for charset, text in [("iso-8859-1", "Grüße"), ("windows-1252", "“quoted” – €5"), ("utf-8", "日本"), ("us-ascii", "plain")]:
        message = email.message.EmailMessage()
        message.set_content(text, charset=charset)
        assert read(connector, message)["body"].rstrip("\n") == text


def main():
    connector = Connector(sys.argv[1])
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test(connector)
            print(f"ok {name}")
    connector.process.stdin.close()
    if connector.process.wait() != 0:
        sys.exit("the connector did not end well")


if __name__ == "__main__":
    main()
