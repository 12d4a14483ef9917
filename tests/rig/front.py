"""nginx in front of /mcp for tools that can send no token: it adds a session's, and leads its own address to the daemon's.

It also adds an Mcp-Session-Id, of which the daemon knows nothing: the conformance suite opens several streams at a time only to
a server that seems to have sessions. A Host or Origin that is not its own passes as it came, so that the daemon is the one who judges it.
"""
import shutil
import subprocess

from .ports import free_port, wait_listening

CONFIG = """
daemon off;
master_process off;
pid {folder}/front.pid;
error_log {folder}/front.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/front-body;
    proxy_temp_path {folder}/front-proxy;
    fastcgi_temp_path {folder}/front-fastcgi;
    uwsgi_temp_path {folder}/front-uwsgi;
    scgi_temp_path {folder}/front-scgi;
    map $http_host $host_there {{
        "127.0.0.1:{port}" "127.0.0.1:{upstream}";
        "localhost:{port}" "localhost:{upstream}";
        default $http_host;
    }}
    map $http_origin $origin_there {{
        "http://127.0.0.1:{port}" "http://127.0.0.1:{upstream}";
        "http://localhost:{port}" "http://localhost:{upstream}";
        default $http_origin;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Host $host_there;
            proxy_set_header Origin $origin_there;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer {token}";
            proxy_buffering off;
            add_header Mcp-Session-Id {session};
            proxy_read_timeout 300s;
        }}
    }}
}}
"""


class Front:
    def __init__(self, home, folder, token):
        upstream = int(home.discovery()["url"].rsplit(":", 1)[1].strip("/"))
        self.port = free_port()
        config = folder / "front.conf"
        config.write_text(CONFIG.format(folder=folder, port=self.port, upstream=upstream, token=token, session="front"))
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = subprocess.Popen([program, "-p", str(folder), "-c", str(config), "-e", str(folder / "front.log")],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_listening(self.port, self.process)
        self.url = f"http://127.0.0.1:{self.port}/mcp"

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
