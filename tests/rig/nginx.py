"""nginx with TLS on one loopback port, answering as Google and GitHub by name.

The googleapis.com hosts and accounts.google.com lead to the emulated
Workspace; the GitHub hosts serve files under `files/<host>/` (forge.py fills them). Every request is
logged with its headers of interest, so that tests can assert on what a server
saw. Runs as whoever started the tests, in a folder of its own.
"""
import json
import os
import shutil
import subprocess
import time

from .ports import free_port, wait_listening

GOOGLE_HOSTS = ["gmail.googleapis.com", "www.googleapis.com", "oauth2.googleapis.com", "accounts.google.com"]
GITHUB_HOSTS = ["github.com", "api.github.com", "raw.githubusercontent.com", "objects.githubusercontent.com"]

CONFIG = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    log_format seen escape=json '{{"time":"$msec","host":"$host","sni":"$ssl_server_name","method":"$request_method",'
        '"uri":"$request_uri","status":"$status","authorization":"$http_authorization","cookie":"$http_cookie",'
        '"user_agent":"$http_user_agent","connection":"$connection"}}';
    access_log {folder}/seen.jsonl seen;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 64m;
    default_type application/octet-stream;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    server {{
        listen 127.0.0.1:{port} ssl default_server;
        return 421;
    }}
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name {google};
        location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_set_header Host $host; }}
        location = /token {{ proxy_pass http://127.0.0.1:{upstream}/oauth2/token; }}
        location = /revoke {{ proxy_pass http://127.0.0.1:{upstream}/oauth2/revoke; }}
    }}
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name {github};
        root {folder}/files/$host;
        include {folder}/github.conf*;
        # Assets of releases are answered from another host, as the forge does.
        location ~ ^/([^/]+)/([^/]+)/releases/download/(.+)$ {{
            if ($host != github.com) {{ return 404; }}
            return 302 https://objects.githubusercontent.com/$1/$2/$3?signature=abc;
        }}
        # The list of tags comes in pages, a file each.
        location ~ ^/repos/[^/]+/[^/]+/tags$ {{
            if ($host != api.github.com) {{ return 404; }}
            try_files $uri.$arg_page =404;
        }}
    }}
}}
"""


class Nginx:
    def __init__(self, folder, ca, upstream_port):
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self.folder, self.port = folder, free_port()
        for host in GITHUB_HOSTS:
            (folder / "files" / host).mkdir(parents=True)
        cert, key = ca.issue("nginx", GOOGLE_HOSTS + GITHUB_HOSTS)
        config = folder / "nginx.conf"
        config.write_text(CONFIG.format(
            folder=folder, cert=cert, key=key, port=self.port, upstream=upstream_port,
            google=" ".join(GOOGLE_HOSTS), github=" ".join(GITHUB_HOSTS),
            user="user root;" if os.geteuid() == 0 else ""))
        self._out = open(folder / "nginx.out", "wb")
        command = [program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
        self.process = subprocess.Popen(command, stdout=self._out, stderr=self._out, stdin=subprocess.DEVNULL)
        wait_listening(self.port, self.process)

    def files(self, host):
        """The folder whose files the host serves."""
        return self.folder / "files" / host

    def connect_to(self):
        """The rows for `--dev-connect-to`."""
        return [f"{host}:443:127.0.0.1:{self.port}" for host in GOOGLE_HOSTS + GITHUB_HOSTS]

    def mark(self):
        """A position in the log for seen()."""
        path = self.folder / "seen.jsonl"
        return path.stat().st_size if path.exists() else 0

    def seen(self, since=0, settle=0.05):
        """What was asked of these hosts since mark(); nginx logs a request as its answer ends."""
        time.sleep(settle)
        with open(self.folder / "seen.jsonl", "rb") as log:
            log.seek(since)
            return [json.loads(line) for line in log.read().splitlines()]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self._out.close()
