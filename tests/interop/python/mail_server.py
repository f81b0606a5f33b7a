"""A mail server: greets first, takes mail, tells its size and hash. Prints its port."""

import hashlib
import socketserver


class Handler(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.say("220 mail.test ready")
        while line := self.rfile.readline():
            command = line.split()[0].upper() if line.split() else b""
            if command == b"EHLO":
                self.say("250-mail.test")
                self.say("250 8BITMIME")
            elif command == b"DATA":
                self.say("354 go on")
                self.take()
            elif command == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def take(self):
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        body = b"".join(lines)
        self.say(f"250 {len(body)} {hashlib.sha256(body).hexdigest()}")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
print("port", server.server_address[1], flush=True)
server.serve_forever()
