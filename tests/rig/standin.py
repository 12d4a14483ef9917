"""The stand-in of `aileron demo`: a Google Workspace whose authorization server can say no, tells its issuer and rotates."""
import http.client
import json
import subprocess

from . import paths

HOSTS = ["gmail.googleapis.com", "www.googleapis.com", "oauth2.googleapis.com", "accounts.google.com"]


class Standin:
    def __init__(self, folder, *options):
        folder.mkdir(exist_ok=True)
        self._log = open(folder / "standin.log", "wb")
        self.process = subprocess.Popen([paths.STANDIN, "--dir", folder, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self._log, text=True)
        told = json.loads(self.process.stdout.readline())
        self.port, self.browser_port, self.ca = told["port"], told["browser_port"], told["ca"]
        self.client_id, self.client_secret = told["client_id"], told["client_secret"]

    def connect_to(self):
        return [f"{host}:443:127.0.0.1:{self.port}" for host in HOSTS]

    def expire(self):
        """Ends every access token that was given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.browser_port, timeout=10)
        connection.request("POST", "/expire", "")
        assert connection.getresponse().status == 200
        connection.close()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self._log.close()
