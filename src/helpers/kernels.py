"""Jupyter kernels that are forked from a process which has imported what the notebooks import.

A forked kernel is a process of its own, as fresh as an ordinary one, without the seconds of
imports. A kernel command other than this interpreter's ipykernel, an environment that the server
cannot give, and a platform that cannot fork get the ordinary kernel: the result is the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import sys
import tempfile
import time
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from queue import Empty
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import default

from helpers.forkserver import Child, ForkError, ForkServer

# How long to wait for a kernel that was asked to end before looking again the ordinary way.
_POLITE_S = 1
_RECONNECT_MS = 10
# What a forked child can be given; anything else that is for `subprocess.Popen` it cannot.
_GIVEN = {"env", "cwd", "kernel_id", "extra_arguments"}
# unix(7): an address has 108 bytes, its end included; the number of the socket follows ours.
_LONGEST_ADDRESS = 100


class ForkProvisioner(LocalProvisioner):
    """Starts a kernel by asking a fork server, or the ordinary way where that cannot be."""

    server: ForkServer | None = None
    process: Any = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel and return its connection."""
        child = await self._fork(cmd, kwargs)
        if child is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process = child
        self.pid = self.pgid = child.pid
        self.cwd = kwargs.get("cwd") or Path.cwd()
        return self.connection_info

    async def _fork(self, cmd: list[str], kwargs: Mapping[str, Any]) -> Child | None:
        environment = {**kwargs.get("env", {}), "JPY_PARENT_PID": str(os.getpid())}
        ours = cmd[:3] == [sys.executable, "-m", "ipykernel_launcher"] and set(kwargs) <= _GIVEN
        if not (ours and self.server and self.server.suits(environment)):
            return None
        try:
            return await self.server.fork(
                cmd[2:],
                environment=environment,
                folder=str(kwargs.get("cwd") or Path.cwd()),
                streams=(1, 2),
            )
        except ForkError as error:
            if self.server.give_up():
                warnings.warn(f"{error} Notebooks run in ordinary kernels.", stacklevel=2)
            return None

    async def wait(self) -> int | None:
        """Wait for the end of the kernel, and return its exit status."""
        if not isinstance(self.process, Child):
            return await super().wait()
        status = await self.process.ended()
        self.process = None
        return status

    async def shutdown_requested(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Be told at once when the kernel has ended: the manager only looks every 0.1 s."""
        if isinstance(self.process, Child):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.ended(), _POLITE_S)


def _eager() -> zmq.asyncio.Context:
    """A context whose sockets do not wait for 0.1 s and more before they connect again.

    The kernel is not there at first, and a short notebook is done before that.
    """
    context = zmq.asyncio.Context()
    context.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
    return context


class KernelClient(AsyncKernelClient):
    """A client to which a kernel is ready once it has said so on both channels.

    The ordinary one, to be sure, listens until nothing was said for 0.2 s.
    """

    def _context_default(self) -> zmq.asyncio.Context:
        self._created_context = True
        return _eager()

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Ask the kernel what it is, again and again, until it answers and then says it is idle.

        Parameters
        ----------
        timeout
            Seconds; None waits for ever.

        Raises
        ------
        RuntimeError
            If the kernel dies, or does not answer in time.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not await self._answered(self.kernel_info()):
            if not await self.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > end:
                raise RuntimeError(f"Kernel didn't respond in {timeout:g} seconds")

    async def _answered(self, asked: str) -> bool:
        with contextlib.suppress(Empty):
            reply = await self.shell_channel.get_msg(timeout=1)
            while reply["msg_type"] == "kernel_info_reply":
                # Nothing comes as long as the channel is not connected.
                told = await self.iopub_channel.get_msg(timeout=0.2)
                mine = told["parent_header"].get("msg_id") == asked
                if mine and told["content"].get("execution_state") == "idle":
                    self._handle_kernel_info_reply(reply)
                    return True
        return False


class KernelManager(AsyncKernelManager):
    """A kernel manager that speaks to its kernel through Unix sockets in a folder of its own.

    The ordinary one looks for free TCP ports, lets them go and hopes that nobody takes them before
    the kernel does; with several notebooks starting at once somebody at times did.
    """

    @default("context")
    def _context_default(self) -> zmq.asyncio.Context:
        self._created_context = True
        return _eager()

    @default("client_factory")
    def _client_factory_default(self) -> type[KernelClient]:
        return KernelClient

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        folder = tempfile.mkdtemp(prefix="frontline-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        address = f"{folder}/kernel"
        if os.name == "posix" and len(address) <= _LONGEST_ADDRESS:
            self.transport, self.ip = "ipc", address


def manager_class(server: ForkServer | None) -> type[AsyncKernelManager]:
    """Make the class of kernel managers that nbclient and papermill take.

    Parameters
    ----------
    server
        Asked for kernels; None gives ordinary ones.

    Returns
    -------
    type
        For ``kernel_manager_class``. A kernel specification that names a provisioner keeps it.
    """
    if server is None:
        return KernelManager

    class ForkedKernelManager(KernelManager):
        def __init__(self, **traits: Any) -> None:
            super().__init__(**traits)
            if self.kernel_spec and "kernel_provisioner" not in self.kernel_spec.metadata:
                self.provisioner = ForkProvisioner(parent=self, kernel_spec=self.kernel_spec)
                self.provisioner.server = server

    return ForkedKernelManager
