//! The file of the messages that a node received in a run.
//!
//! After 12 bytes that name the format comes one item after the other, each of one of two kinds:
//!
//! | kind | what follows |
//! |---|---|
//! | 1, a channel; it has the next number from 0 | length (4 bytes), path |
//! | 2, a message | sender (2), channel (4), step (4), length (4), payload |
//!
//! Integers are little-endian. The messages of one sender on one channel are in their order.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use mpc_net::record::{Digest, Keeper, message_digest};
use mpc_net::replay::{Kept, Messages};
use mpc_net::{MAX_PAYLOAD, PartyId, Tag};

const MAGIC: [u8; 12] = *b"mpc-received";
const CHANNEL: u8 = 1;
const MESSAGE: u8 = 2;

/// Messages between the network and the disk.
const BEHIND: usize = 32;
/// The longest path of a channel.
const LONGEST_PATH: u32 = 4096;

struct Item {
    from: PartyId,
    channel: String,
    step: u32,
    payload: Vec<u8>,
}

/// Writes messages on a thread of its own, so that the network waits for the disk only when it is far
/// ahead of it.
pub(super) struct Writer {
    items: SyncSender<Item>,
}

/// The end of a [`Writer`]: waits for what it has not written yet.
pub(super) struct Written(Option<JoinHandle<io::Result<u64>>>);

/// Begins a file at `path`, which replaces the one of an earlier run.
pub(super) fn begin(path: &Path) -> io::Result<(Writer, Written)> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    let (items, queue) = sync_channel(BEHIND);
    let thread = std::thread::Builder::new().name("audit".to_owned());
    let thread = thread.spawn(move || write(file, &queue))?;
    Ok((Writer { items }, Written(Some(thread))))
}

impl Keeper for Writer {
    fn keep(&self, from: PartyId, channel: &str, _: u64, tag: Tag, payload: &[u8]) {
        let channel = channel.to_owned();
        // Where the writer has ended, its error says why when the run is over.
        let _ =
            self.items.send(Item { from, channel, step: tag.code(), payload: payload.to_vec() });
    }
}

impl Written {
    /// Waits until all is on disk; the writer must be gone. Gives the bytes of the file.
    pub(super) fn wait(mut self) -> io::Result<u64> {
        let thread = self.0.take().ok_or_else(|| io::Error::other("it was waited for before"))?;
        thread.join().map_err(|_| io::Error::other("the thread that writes has failed"))?
    }
}

fn write(file: File, queue: &Receiver<Item>) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut channels: BTreeMap<String, u32> = BTreeMap::new();
    out.write_all(&MAGIC)?;
    let mut bytes = MAGIC.len() as u64;
    while let Ok(Item { from, channel, step, payload }) = queue.recv() {
        let next = channels.len() as u32;
        let number = match channels.get(&channel) {
            Some(&number) => number,
            None => {
                out.write_all(&[CHANNEL])?;
                out.write_all(&(channel.len() as u32).to_le_bytes())?;
                out.write_all(channel.as_bytes())?;
                bytes += 5 + channel.len() as u64;
                channels.insert(channel, next);
                next
            }
        };
        out.write_all(&[MESSAGE])?;
        out.write_all(&from.0.to_le_bytes())?;
        for word in [number, step, payload.len() as u32] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&payload)?;
        bytes += 15 + payload.len() as u64;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(bytes)
}

/// Where a message lies.
#[derive(Clone, Copy)]
struct Place {
    step: u32,
    at: u64,
    length: u32,
}

/// By sender and channel.
type Lines<T> = BTreeMap<(u16, String), Vec<T>>;

/// A file of messages that was read once, to know where each lies.
pub(super) struct Reader {
    file: Mutex<File>,
    places: Lines<Place>,
    digests: Lines<Digest>,
}

impl Reader {
    /// Reads a file through.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(malformed("it is no file of received messages"));
        }
        let mut at = MAGIC.len() as u64;
        let mut channels = Vec::new();
        let (mut places, mut digests) = (Lines::new(), Lines::new());
        let mut payload = Vec::new();
        loop {
            let mut kind = [0];
            if file.read(&mut kind)? == 0 {
                break;
            }
            if kind == [CHANNEL] {
                let length = word(&mut file)?;
                if length > LONGEST_PATH {
                    return Err(malformed("a channel has too long a path"));
                }
                let mut path = vec![0; length as usize];
                file.read_exact(&mut path)?;
                channels.push(String::from_utf8(path).map_err(|_| malformed("a path is no text"))?);
                at += 5 + u64::from(length);
                continue;
            }
            if kind != [MESSAGE] {
                return Err(malformed("it holds something that is neither channel nor message"));
            }
            let mut from = [0; 2];
            file.read_exact(&mut from)?;
            let (channel, step, length) = (word(&mut file)?, word(&mut file)?, word(&mut file)?);
            if length as usize > MAX_PAYLOAD {
                return Err(malformed("a message is too long"));
            }
            let channel: &String = channels
                .get(channel as usize)
                .ok_or_else(|| malformed("a message is of no channel"))?;
            payload.resize(length as usize, 0);
            file.read_exact(&mut payload)?;
            at += 15;
            let line = (u16::from_le_bytes(from), channel.clone());
            places.entry(line.clone()).or_default().push(Place { step, at, length });
            digests.entry(line).or_default().push(message_digest(step, &payload));
            at += u64::from(length);
        }
        Ok(Self { file: Mutex::new(file.into_inner()), places, digests })
    }

    /// The digest of each message that `from` sent on a channel.
    pub(super) fn digests(&self, from: u16, channel: &str) -> &[Digest] {
        self.digests.get(&(from, channel.to_owned())).map_or(&[], Vec::as_slice)
    }
}

fn word(file: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

impl Messages for Reader {
    fn message(&self, from: PartyId, channel: &str, number: u64) -> io::Result<Option<Kept>> {
        let line = self.places.get(&(from.0, channel.to_owned()));
        let place = line.and_then(|line| line.get(usize::try_from(number).ok()?));
        let Some(&Place { step, at, length }) = place else { return Ok(None) };
        let mut payload = vec![0; length as usize];
        // A read leaves the file as good as it was.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut payload)?;
        Ok(Some(Kept { step, payload }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Tag = Tag::new("test/step");

    #[test]
    fn messages_come_back_as_they_were_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("messages.bin");
        let due = [(0, "", 0), (2, "", 5), (0, "/1:a", 70_000), (0, "", 9), (2, "/1:a", 1)];
        let payload = |length: usize| -> Vec<u8> { (0..length).map(|at| at as u8).collect() };
        for _ in 0..2 {
            let (writer, written) = begin(&path).unwrap();
            for (from, channel, length) in due {
                writer.keep(PartyId(from), channel, 0, STEP, &payload(length));
            }
            drop(writer);
            assert_eq!(written.wait().unwrap(), path.metadata().unwrap().len());
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.places.values().map(Vec::len).sum::<usize>(), due.len());
        let get = |from, channel, number| {
            let kept = reader.message(PartyId(from), channel, number).unwrap();
            kept.map(|kept| {
                assert_eq!(kept.step, STEP.code());
                kept.payload
            })
        };
        assert_eq!(get(0, "", 0), Some(payload(0)));
        assert_eq!(get(0, "", 1), Some(payload(9)));
        assert_eq!(get(0, "", 2), None);
        assert_eq!(get(1, "", 0), None);
        assert_eq!(get(0, "/1:a", 0), Some(payload(70_000)));
        assert_eq!(get(2, "/1:a", 0), Some(payload(1)));
        let digests = [message_digest(STEP.code(), &[]), message_digest(STEP.code(), &payload(9))];
        assert_eq!(reader.digests(0, ""), digests);

        // What was cut or changed is refused, or has other digests.
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 5, 20, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(Reader::open(&path).is_err(), "{cut}");
        }
        for at in 0..60 {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            let same = Reader::open(&path).is_ok_and(|again| again.digests == reader.digests);
            assert!(!same, "byte {at}");
        }
    }
}
