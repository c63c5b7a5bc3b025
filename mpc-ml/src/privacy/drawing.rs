//! Noise that is drawn before any message depends on it.

use std::time::{Duration, Instant};

use mpc_core::noise::NoiseStream;
use mpc_core::session::ext;
use mpc_core::{Session, offload};

use crate::error::Error;

/// How long the noise was drawn is told in units of this.
const UNIT_OF_TIME: Duration = Duration::from_millis(200);

/// All noise of a run, drawn by `draw` from this party's own coins, beside the network. How long that takes depends
/// on what is drawn, so what can be seen of it is a small whole number, nearly always the same. Nothing that depends
/// on a row, or on the noise, may have been sent before.
///
/// # Errors
/// When there is no place for it to run.
pub(crate) async fn ahead<T: Send + 'static>(
    session: &mut Session,
    draw: impl FnOnce(&mut NoiseStream) -> T + Send + 'static,
) -> Result<T, Error> {
    let mut stream = NoiseStream::new(&mut ext::own_coins(session)?);
    let timed = move || {
        let began = Instant::now();
        let noise = draw(&mut stream);
        let units = began.elapsed().as_millis() / UNIT_OF_TIME.as_millis() + 1;
        let until = UNIT_OF_TIME * u32::try_from(units).unwrap_or(u32::MAX);
        std::thread::sleep(until.saturating_sub(began.elapsed()));
        noise
    };
    Ok(offload(timed).await?)
}
