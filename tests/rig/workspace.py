"""The emulated Google Workspace: @emulators/google behind a loopback port (see workspace.mjs)."""
import base64
import json
import pathlib
import subprocess
import urllib.request

from . import paths
from .ports import free_port, wait_listening

EMAIL = "mara@example.com"


def raw_mail(text):
    """An RFC 5322 message as Gmail's `raw`: CRLF line ends, base64url."""
    lines = text.strip("\n").split("\n")
    return base64.urlsafe_b64encode("\r\n".join(lines).encode()).decode().rstrip("=")


SEED = {
    "users": [{"email": EMAIL, "name": "Mara Lindqvist"}, {"email": "other@example.com", "name": "Other Person"}],
    "oauth_clients": [{"client_id": "test-client", "client_secret": "test-secret",
                       "redirect_uris": ["http://127.0.0.1/oauth2/callback"]}],
    "messages": [
        {"id": "m-plan", "thread_id": "t-plan", "user_email": EMAIL, "label_ids": ["INBOX", "UNREAD"],
         "from": "Anna Müller <anna@example.org>", "to": EMAIL, "subject": "Quartalsplan — bitte prüfen ✓",
         "body_text": "Hallo Mara,\n\nanbei der Plan für das Quartal. Grüße, Anna\n",
         "message_id": "<plan-1@example.org>", "date": "2026-03-02T09:15:00.000Z"},
        {"id": "m-invoice", "thread_id": "t-invoice", "user_email": EMAIL, "label_ids": ["INBOX"],
         "from": "billing@example.net", "to": EMAIL, "subject": "Invoice 2026-0417",
         "body_text": "The invoice is due on the 30th.\n", "message_id": "<inv-417@example.net>",
         "date": "2026-03-01T08:00:00.000Z"},
        {"id": "m-lunch", "thread_id": "t-lunch", "user_email": EMAIL, "label_ids": ["INBOX"],
         "from": "Jo <jo@example.com>", "to": EMAIL, "cc": "kim@example.com", "subject": "Lunch?",
         "body_text": "Thursday, 12:30?\n", "message_id": "<lunch@example.com>", "date": "2026-02-28T10:00:00.000Z"},
        {"id": "m-attach", "thread_id": "t-attach", "user_email": EMAIL, "label_ids": ["INBOX"], "raw": raw_mail("""
From: Lee <lee@example.org>
To: mara@example.com
Subject: =?UTF-8?B?VmVydHLDpGdl?=
Message-ID: <attach@example.org>
Date: Fri, 27 Feb 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b1"

--b1
Content-Type: multipart/alternative; boundary="b2"

--b2
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: base64

RGllIFZlcnRyw6RnZSBpbSBBbmhhbmcuCg==
--b2
Content-Type: text/html; charset=utf-8

<p>Die Vertr&auml;ge im Anhang.</p>
--b2--
--b1
Content-Type: application/pdf; name="contract.pdf"
Content-Disposition: attachment; filename="contract.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjQKJcOkw7zDtgo=
--b1--
""")},
        {"id": "m-old", "thread_id": "t-old", "user_email": EMAIL, "label_ids": ["INBOX"],
         "from": "news@example.net", "to": EMAIL, "subject": "Newsletter", "body_text": "Old news.\n",
         "date": "2026-01-05T10:00:00.000Z"},
        {"id": "m-foreign", "user_email": "other@example.com", "label_ids": ["INBOX"], "from": "x@example.com",
         "to": "other@example.com", "subject": "Not for Mara", "body_text": "secret of another mailbox\n"},
    ],
    "calendars": [
        {"id": "primary", "user_email": EMAIL, "summary": "Mara's calendar", "primary": True, "time_zone": "Europe/Berlin"},
        {"id": "team@group.calendar.google.com", "user_email": EMAIL, "summary": "Team", "time_zone": "UTC"},
    ],
    "calendar_events": [
        {"id": "e-standup", "user_email": EMAIL, "calendar_id": "primary", "summary": "Stand-up",
         "start_date_time": "2099-03-02T09:00:00.000Z", "end_date_time": "2099-03-02T09:15:00.000Z",
         "attendees": [{"email": "jo@example.com", "display_name": "Jo"}]},
        {"id": "e-review", "user_email": EMAIL, "calendar_id": "primary", "summary": "Überprüfung", "location": "Raum 4",
         "start_date_time": "2099-03-03T13:00:00.000Z", "end_date_time": "2099-03-03T14:00:00.000Z"},
        {"id": "e-past", "user_email": EMAIL, "calendar_id": "primary", "summary": "Long ago",
         "start_date_time": "2020-01-01T09:00:00.000Z", "end_date_time": "2020-01-01T10:00:00.000Z"},
        {"id": "e-team", "user_email": EMAIL, "calendar_id": "team@group.calendar.google.com", "summary": "Team day",
         "start_date_time": "2099-04-01T08:00:00.000Z", "end_date_time": "2099-04-01T16:00:00.000Z"},
    ],
}


class Workspace:
    def __init__(self, folder):
        self.port, self._control = free_port(), free_port()
        self._log = open(folder / "workspace.log", "wb")
        script = pathlib.Path(__file__).with_name("workspace.mjs")
        command = ["node", str(script), str(paths.node_modules()), str(self.port), str(self._control)]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL)
        wait_listening(self.port, self.process)
        wait_listening(self._control, self.process)
        self.reset()

    def _call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._control}{path}", data=data)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def reset(self, seed=SEED):
        self._call("/reset", seed)

    def token(self, email=EMAIL):
        return self._call("/token", {"email": email})["access_token"]

    def register(self, redirect_uri, client_id="test-client", client_secret="test-secret"):
        """The emulator compares redirect URIs with their port, which a daemon chooses at its start."""
        self._call("/client", {"client_id": client_id, "client_secret": client_secret, "redirect_uri": redirect_uri})

    def expire(self):
        self._call("/expire", {})

    def revoke(self):
        self._call("/revoke", {})

    def grants(self):
        return self._call("/grants")

    def messages(self, email=EMAIL):
        return self._call(f"/messages?email={email}")

    def drafts(self, email=EMAIL):
        return self._call(f"/drafts?email={email}")

    def events(self, email=EMAIL):
        return self._call(f"/events?email={email}")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self._log.close()
