"""Both ends of a consent: `aileron binding setup` that waits for it, and a browser of plain HTTP that gives it."""
import html.parser
import http.client
import re
import socket
import ssl
import subprocess
import threading
import urllib.parse

from . import paths
from .ports import wait_for


class Page:
    def __init__(self, url, answer):
        self.url, self.status, self.headers, self.text = url, answer.status, answer.headers, answer.read().decode()

    @property
    def location(self):
        return self.headers["Location"]

    def __repr__(self):
        return f"{self.url}\nHTTP {self.status}\n{self.headers}\n{self.text[:3000]}"


class Forms(html.parser.HTMLParser):
    """The forms of a page: action and fields, the buttons' own included as a list."""

    def __init__(self, text):
        super().__init__()
        self.forms = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "form":
            self.forms.append({"action": values.get("action"), "fields": {}, "buttons": []})
        elif tag in ("input", "button") and values.get("name") and self.forms:
            if tag == "button" or values.get("type") == "submit":
                self.forms[-1]["buttons"].append((values["name"], values.get("value", "")))
            else:
                self.forms[-1]["fields"][values["name"]] = values.get("value", "")


class PlainBrowser:
    """`rows` are those of --dev-connect-to: what the browser's machine would resolve. Follows nothing by itself."""

    def __init__(self, rows=(), ca=None):
        self.where = {row.rsplit(":", 3)[0]: int(row.rsplit(":", 1)[1]) for row in rows}
        self.context = ssl.create_default_context(cafile=ca) if ca else None

    def load(self, url, form=None, method=None, headers=None):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "https":
            # The certificate has to be that of the name, whatever the address.
            raw = socket.create_connection(("127.0.0.1", self.where[parts.hostname]), 30)
            connection = http.client.HTTPConnection(parts.hostname, timeout=30)
            connection.sock = self.context.wrap_socket(raw, server_hostname=parts.hostname)
        else:
            assert parts.hostname == "127.0.0.1", url
            connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=30)
        data = None if form is None else urllib.parse.urlencode(form)
        sent = {"Host": parts.netloc, "Accept": "text/html"}
        if data is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method or ("GET" if form is None else "POST"), target, data, {**sent, **(headers or {})})
        page = Page(url, connection.getresponse())
        connection.close()
        return page

    def consent(self, url, email=None, decision="allow"):
        """The redirect that follows from pressing the button: the emulator has one per person, the stand-in Allow and Cancel."""
        page = self.load(url)
        assert page.status == 200, page
        forms = Forms(page.text).forms
        form = next(form for form in forms if email is None or form["fields"].get("email") == email)
        fields = dict(form["fields"])
        if ("decision", decision) in form["buttons"]:
            fields["decision"] = decision
        answer = self.load(urllib.parse.urljoin(url, form["action"]), fields)
        assert answer.status == 302, answer
        return answer.location


def query_of(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query, keep_blank_values=True))


def with_query(url, **changes):
    """The URL with parameters changed, or (None) taken out."""
    parts = urllib.parse.urlsplit(url)
    query = {**query_of(url), **changes}
    query = urllib.parse.urlencode({key: value for key, value in query.items() if value is not None})
    return urllib.parse.urlunsplit(parts._replace(query=query))


class Flow:
    """A command that has sent the person to a page and waits: `url` is the page, `end()` how the command ended."""

    def __init__(self, home, *args):
        self.home = home
        command = [str(paths.CLI), *[str(arg) for arg in args]]
        self.process = subprocess.Popen(command, env=home.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, cwd=home.base)
        self.err = self.out = ""
        self._readers = [threading.Thread(target=self._read, args=args, daemon=True)
                         for args in ((self.process.stderr, "err"), (self.process.stdout, "out"))]
        for reader in self._readers:
            reader.start()

        def told():
            # The line of the address alone, whole.
            found = re.search(r"^(https?://\S+)\n", self.err, re.MULTILINE)
            return found or self.process.poll() is not None
        found = wait_for(told, "the address to open", 20)
        assert not isinstance(found, bool), f"{command} ended: {self.end()!r}"
        self.url = found.group(1)

    def _read(self, stream, name):
        for line in stream:
            setattr(self, name, getattr(self, name) + line)

    @property
    def redirect_uri(self):
        return query_of(self.url)["redirect_uri"]

    @property
    def state(self):
        return query_of(self.url)["state"]

    def callback(self, **parameters):
        return f"{self.redirect_uri}?{urllib.parse.urlencode(parameters)}"

    def is_waiting(self):
        return self.process.poll() is None

    def end(self, timeout=20):
        """(exit code, stdout, stderr)"""
        code = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(5)
        return code, self.out, self.err

    def cancel(self):
        """Ctrl-C."""
        self.process.send_signal(2)
        return self.end()

    def kill(self):
        if self.is_waiting():
            self.process.kill()
        self.end()
