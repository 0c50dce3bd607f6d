//! The listening end of a relay, which a fault can shut and which keeps its address meanwhile.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::force::lock;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Where a relay listens.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    state: Mutex<State>,
    /// Whether its address may be none of this machine's yet.
    ahead: bool,
    runtime: Handle,
}

#[derive(Debug)]
enum State {
    Open(TcpListener),
    /// Bound, so that nobody else takes the port, and not listening, so that everybody is refused.
    Shut(Socket),
    /// Neither.
    Lost,
}

impl Door {
    /// Opens a door at `listen`, [`listen`] says what `ahead` is; must be called within a runtime.
    pub(super) fn open(address: SocketAddr, ahead: bool) -> io::Result<Self> {
        let listener = listen(address, ahead)?;
        let address = listener.local_addr()?;
        Ok(Self { address, state: Mutex::new(State::Open(listener)), ahead, runtime: Handle::current() })
    }

    /// Shuts it or opens it again, at once.
    ///
    /// # Errors
    /// When the address was lost to another program.
    pub(super) fn shut(&self, shut: bool) -> io::Result<()> {
        let mut state = lock(&self.state);
        if matches!(&*state, State::Shut(_)) == shut && !matches!(&*state, State::Lost) {
            return Ok(());
        }
        // Closed before it is bound anew.
        let socket = match std::mem::replace(&mut *state, State::Lost) {
            State::Shut(socket) => socket,
            State::Open(listener) => {
                drop(listener);
                bound(self.address, self.ahead)?
            }
            State::Lost => bound(self.address, self.ahead)?,
        };
        let _runtime = self.runtime.enter();
        *state = if shut { State::Shut(socket) } else { State::Open(listening(socket)?) };
        Ok(())
    }

    /// Whether nobody can enter.
    pub(super) fn is_shut(&self) -> bool {
        matches!(&*lock(&self.state), State::Shut(_) | State::Lost)
    }

    /// The next who enters; nobody while it is shut.
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        match &*lock(&self.state) {
            State::Open(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| stream),
            State::Shut(_) | State::Lost => Poll::Pending,
        }
    }
}

/// Listens; with `ahead`, also at an address that this machine does not have yet, like that of a bridge which comes
/// with the first who is on it. Must be called within a runtime.
///
/// # Errors
/// When the address is taken, or not this machine's where it was to be.
pub fn listen(address: SocketAddr, ahead: bool) -> io::Result<TcpListener> {
    listening(bound(address, ahead)?)
}

fn bound(address: SocketAddr, ahead: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the last listener may still be open.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    if ahead && address.is_ipv4() {
        socket.set_freebind_v4(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listening(socket: Socket) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 192.0.2.0/24 is nobody's (RFC 5737).
    const NOBODYS: &str = "192.0.2.1:0";

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn an_address_that_is_to_come_is_listened_at_where_that_is_meant() {
        let address = NOBODYS.parse().unwrap();
        assert_eq!(listen(address, false).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
        let door = Door::open(address, true).unwrap();
        door.shut(true).unwrap();
        door.shut(false).unwrap();
        assert_eq!(door.address.ip(), address.ip());
    }
}
