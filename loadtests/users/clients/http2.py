"""JSON over HTTP/2 without TLS (prior knowledge), by hyper-h2 on gevent's sockets: one connection, one stream at a time.

In pure Python, so its cells are measured with few users, and voided where the generator was the bottleneck.
"""

import errno

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from gevent import socket

from loadtests.users.clients.json import JsonClient, NotUnderstood, received
from loadtests.users.journeys import Call

WINDOW_BYTES = 4 * 1024 * 1024  # more than the largest answer


class Http2Client(JsonClient):
    _http2: h2.connection.H2Connection

    def exchange(self, call: Call, traceparent: str) -> tuple[int, bytes, bool]:
        link, is_new = self.connected()
        if is_new:
            self._greet()
        try:
            return self._exchange(link, call, traceparent)
        except h2.exceptions.ProtocolError:
            raise NotUnderstood("HTTP/2") from None

    def _greet(self) -> None:
        self._http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self._http2.initiate_connection()
        self._http2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES})
        self._http2.increment_flow_control_window(WINDOW_BYTES)

    def _exchange(self, link: socket.socket, call: Call, traceparent: str) -> tuple[int, bytes, bool]:
        stream = self._http2.get_next_available_stream_id()
        self._http2.send_headers(stream, self._headers(call, traceparent), end_stream=not call.body)
        left, status, pieces = memoryview(call.body), 0, []
        while True:
            left = self._sent(stream, left)
            link.sendall(self._http2.data_to_send())
            for event in self._http2.receive_data(received(link)):
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
                        return status, b"".join(pieces), True

    def _headers(self, call: Call, traceparent: str) -> list[tuple[str, str]]:
        headers = [
            (":method", call.method),
            (":scheme", "http"),
            (":authority", f"{self.address[0]}:{self.address[1]}"),
            (":path", call.target),
            ("accept", "application/json"),
            ("traceparent", traceparent),
        ]
        if call.body:
            headers += [("content-type", "application/json"), ("content-length", str(len(call.body)))]
        return headers

    def _sent(self, stream: int, left: memoryview) -> memoryview:
        """Hand over as much of the body as the other side takes now; what is left."""
        while left:
            room = min(self._http2.local_flow_control_window(stream), self._http2.max_outbound_frame_size, len(left))
            if room <= 0:
                break
            self._http2.send_data(stream, left[:room].tobytes(), end_stream=room == len(left))
            left = left[room:]
        return left
