"""rtsp: a small client for the common case: H.264 or H.265 over RTSP 1.0, media interleaved on the one TCP connection.

Why not libav for it: its demuxer makes two system calls for each of three small reads of every RTP packet, hands a
picture out only when the next one begins, and cannot be interrupted. This client reads what there is in one call and
closes a picture with its last packet (docs/design/007). Everything else (sound, TLS, odd cameras) stays with libav
(streams.camera_session).

- `sdp`, `digest`, `assembly`, `reorder`: pure. `wire`: the socket. `session.RtspSession`: what the reader uses.

Sources: RFC 2326, RFC 3550, RFC 4566, RFC 6184, RFC 7798, RFC 7616.
"""
