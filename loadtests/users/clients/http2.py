"""JSON over HTTP/2 without TLS (prior knowledge), by hyper-h2 on gevent's sockets: one connection, one stream at a time.

In pure Python, so its cells are measured with few users, and voided where the generator was the bottleneck.
"""

import errno

import gevent
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from gevent import socket

from loadtests.users.clients import CallFailed
from loadtests.users.clients.answers import Looker
from loadtests.users.clients.http1 import RECEIVE_BYTES, cause
from loadtests.users.journeys import Call

WINDOW_BYTES = 4 * 1024 * 1024  # more than the largest answer


class Http2Client:
    def __init__(self, host: str, port: int, *, timeout_seconds: float, reuse: bool = True) -> None:
        self._address = (host, port)
        self._timeout_seconds = timeout_seconds
        self._reuse = reuse
        self._socket: socket.socket | None = None
        self._http2: h2.connection.H2Connection
        self._looker = Looker()

    def call(self, call: Call, traceparent: str) -> int:
        try:
            with gevent.Timeout(self._timeout_seconds, TimeoutError):
                status, body = self._exchange(call, traceparent)
        except TimeoutError:
            self.close()
            raise CallFailed("timeout") from None
        except OSError as error:
            self.close()
            raise CallFailed(cause(error)) from None
        except h2.exceptions.ProtocolError:
            self.close()
            raise CallFailed("answer is not HTTP/2") from None
        except BaseException:  # the user is stopped in the middle of a call
            self.close()
            raise
        if not self._reuse:
            self.close()
        self._looker.look(call, status, body)
        return len(body)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, call: Call, traceparent: str) -> tuple[int, bytes]:
        link = self._connected()
        stream = self._http2.get_next_available_stream_id()
        headers = [
            (":method", call.method),
            (":scheme", "http"),
            (":authority", f"{self._address[0]}:{self._address[1]}"),
            (":path", call.target),
            ("accept", "application/json"),
            ("traceparent", traceparent),
        ]
        if call.body:
            headers += [("content-type", "application/json"), ("content-length", str(len(call.body)))]
        self._http2.send_headers(stream, headers, end_stream=not call.body)
        left, status, pieces = memoryview(call.body), 0, []
        while True:
            left = self._sent(stream, left)
            link.sendall(self._http2.data_to_send())
            received = link.recv(RECEIVE_BYTES)
            if not received:
                raise ConnectionResetError(errno.ECONNRESET, "closed")
            for event in self._http2.receive_data(received):
                match event:
                    case h2.events.ResponseReceived():
                        status = int(dict(event.headers)[b":status"])
                    case h2.events.DataReceived():
                        pieces.append(event.data)
                        self._http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                        raise ConnectionResetError(errno.ECONNRESET, "reset")
                    case h2.events.StreamEnded():
                        link.sendall(self._http2.data_to_send())
                        return status, b"".join(pieces)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self._address)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
            self._http2.initiate_connection()
            self._http2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES})
            self._http2.increment_flow_control_window(WINDOW_BYTES)
        return self._socket

    def _sent(self, stream: int, left: memoryview) -> memoryview:
        """Hand over as much of the body as the other side takes now; what is left."""
        while left:
            room = min(self._http2.local_flow_control_window(stream), self._http2.max_outbound_frame_size, len(left))
            if room <= 0:
                break
            self._http2.send_data(stream, left[:room].tobytes(), end_stream=room == len(left))
            left = left[room:]
        return left
