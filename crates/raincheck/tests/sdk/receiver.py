"""Somebody's own server, which webhooks are told to: remembers what it hears."""

import http.server
import queue
import threading


class Receiver:
    """Hears on a free port of this machine."""

    def __init__(self):
        self.heard = queue.Queue()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                outer.heard.put(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}/hook"

    def next(self):
        """The headers, with names in small letters, and the body of the next that is heard."""
        return self.heard.get(timeout=20)
