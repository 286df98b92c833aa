"""A proxy for HTTP on the loopback interface: passes on what has a whole URL in its first line, and opens tunnels for CONNECT. It remembers the
head of every request made to it."""
import select
import socket
import threading
from urllib.parse import urlsplit


class Proxy:
    def __enter__(self):
        self.heads = []  # of requests that the proxy could read
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, client):
        server = None
        try:
            while head := self.read_head(client):
                self.heads.append(head.decode("latin-1"))
                method, url, _ = head.split(b"\r\n")[0].decode().split(" ")
                if method == "CONNECT":
                    host, port = url.rsplit(":", 1)
                    server = socket.create_connection((host, int(port)))
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    return self.relay(client, server)
                parts = urlsplit(url)
                server = socket.create_connection((parts.hostname, parts.port))
                path = url.split(parts.netloc, 1)[1] or "/"
                server.sendall(head.replace(url.encode(), path.encode(), 1).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                return self.relay(client, server)
        except OSError:
            pass
        finally:
            for one in (client, server):
                if one:
                    one.close()

    def read_head(self, connection):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)
            if not byte:
                return b""
            head += byte
        return head

    def relay(self, one, other):
        while True:
            for ready in select.select([one, other], [], [])[0]:
                data = ready.recv(1 << 16)
                if not data:
                    return
                (other if ready is one else one).sendall(data)
