#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes pidfd_open and pidfd_send_signal for processes under a valgrind that cannot: valgrind-pidfd.c.

Usage: pidfd-broker.py NAME    (of an abstract socket; prints a line once it listens)
A request is a pid, or a signal with a pidfd; the answer 0 or an errno, and the pidfd.
"""
import os
import signal
import socket
import struct
import sys


def answer(connection):
    data, fds, _, _ = socket.recv_fds(connection, 4, 1)
    if len(data) < 4:
        return
    number = struct.unpack("i", data)[0]
    made = []
    code = 0
    try:
        if fds:
            signal.pidfd_send_signal(fds[0], number)
        else:
            made = [os.pidfd_open(number)]
    except OSError as error:
        code = error.errno
    socket.send_fds(connection, [struct.pack("i", code)], made)
    for fd in fds + made:
        os.close(fd)


listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(b"\0" + sys.argv[1].encode())
listener.listen(64)
print("ready", flush=True)
while True:
    client, _ = listener.accept()
    with client:
        try:
            answer(client)
        except OSError:  # it was killed meanwhile
            pass
