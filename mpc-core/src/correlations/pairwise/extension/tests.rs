use super::*;

fn bits(count: usize) -> (Bits, Vec<u32>) {
    let mut coins = Coins::fresh().expect("randomness");
    let plain: Vec<u32> = fresh(count.div_ceil(16), &mut coins).as_flattened()[..count]
        .iter()
        .map(|byte| u32::from(byte & 1))
        .collect();
    let mut bits = Bits::default();
    plain.iter().for_each(|&bit| bits.push(bit));
    (bits, plain)
}

#[test]
fn correlated_ots_differ_by_the_choice_times_delta() {
    for how in [Expansion::Fast, Expansion::Compact].map(|e| [(e, true), (e, false)]).as_flattened()
    {
        let (mut sender, mut receiver) = ideal_pair(*how, MaskSwitch::default());
        // Two batches: counters go on; the second does not fill its last block.
        for count in [128 * 33, 1000] {
            let (choices, plain) = bits(count);
            let mut message = Vec::new();
            let t = receiver.extend(&choices, &mut message);
            assert_eq!(message.len() as u64, how.0.bytes(count as u64, how.1));
            let q = sender.extend(count, &message).expect("fits");
            assert_eq!(t.first, q.first);
            let mut pads = [vec![[0; 16]; 2 * count], vec![[0; 16]; 2 * count]];
            let mut chosen = vec![[0; 16]; 2 * count];
            let [zero, one] = &mut pads;
            sender.pads(&q, 0, 2, [zero, one]);
            receiver.pads(&t, 0, 2, &mut chosen);
            for (j, &choice) in plain.iter().enumerate() {
                let shifted = if choice == 1 { sender.delta } else { [0; 16] };
                assert_eq!(q.blocks[j], xor(t.blocks[j], shifted), "OT {j}");
                assert_eq!(chosen[2 * j + 1], pads[choice as usize][2 * j + 1]);
                assert_ne!(chosen[2 * j], pads[1 - choice as usize][2 * j]);
            }
        }
    }
}

#[test]
fn a_message_of_another_length_is_refused() {
    let (mut sender, _) = ideal_pair((Expansion::Fast, false), MaskSwitch::default());
    assert!(sender.extend(128, &[0; 16 * 31]).is_err());
    assert!(sender.extend(129, &[0; 16 * 32]).is_err());
    let (mut sender, _) = ideal_pair((Expansion::Fast, true), MaskSwitch::default());
    assert!(sender.extend(128, &[0; 16 * 64]).is_err());
    assert!(sender.extend(0, &[]).is_ok());
}

/// One OT in which a tree has another choice than the others.
#[test]
fn a_choice_that_differs_between_trees_is_seen() {
    for expansion in [Expansion::Fast, Expansion::Compact] {
        let trees = expansion.trees();
        for tree in 0..trees {
            let (mut sender, mut receiver) = ideal_pair((expansion, true), MaskSwitch::default());
            let (choices, _) = bits(700);
            let mut message = Vec::new();
            // Seven blocks of each tree: six of choices, one that hides them.
            let at = 16 * (7 * tree + tree % 7) + 3;
            receiver.extend_but(&choices, &mut message, |sent| sent[at] ^= 0x10);
            // It passes as one that guesses that the bits of Delta are zero: one chance in 2^k.
            let guessed = holes(&sender.delta, expansion)[tree] == 0;
            let seen = sender.extend(700, &message).err();
            let due = (!guessed).then_some("choices that are not the same in all trees");
            assert_eq!(seen, due, "{expansion:?}, tree {tree}");
        }
    }
}

#[test]
fn a_check_of_other_choices_is_seen() {
    for at in 1..=CHECK_BYTES {
        let (mut sender, mut receiver) = ideal_pair((Expansion::Fast, true), MaskSwitch::default());
        let mut message = Vec::new();
        receiver.extend(&bits(300).0, &mut message);
        let end = message.len();
        message[end - at] ^= 1;
        assert!(sender.extend(300, &message).is_err(), "byte {at} from the end");
    }
}

/// Level sums of which one side is wrong: the sender sees it if, and only if, it took that side.
#[test]
fn trees_that_do_not_hang_together_are_seen() {
    let how = (Expansion::Fast, true);
    let binding = super::super::base_ot::Binding { session: [5; 32], sender: 0, receiver: 1 };
    let keys = Keys::new(&binding, b"a", b"b");
    let switch = MaskSwitch::default();
    let mut coins = Coins::fresh().expect("randomness");
    let delta = fresh(1, &mut coins)[0];
    let base: Vec<[Block; 2]> = fresh(2 * BASE, &mut coins).as_chunks::<2>().0.to_vec();
    let choices = base_choices(&delta, how.0);
    let chosen: Vec<Block> =
        choices.iter().zip(&base).map(|(&c, keys)| keys[usize::from(c)]).collect();
    let (_, message) = Receiver::new(how, &keys, &base, switch, &mut coins);
    let sender = |message: &[u8]| Sender::new(how, &keys, delta, &chosen, message, switch).err();
    assert_eq!(sender(&message), None);
    for (level, &choice) in choices.iter().enumerate() {
        for side in 0..2 {
            let mut wrong = message.clone();
            wrong[32 * level + 16 * side + level % 16] ^= 4;
            let due = (usize::from(choice) == side).then_some("trees that do not hang together");
            assert_eq!(sender(&wrong), due, "level {level}, side {side}");
        }
    }
    for at in LEVELS_BYTES..message.len() {
        let mut wrong = message.clone();
        wrong[at] ^= 1;
        assert!(sender(&wrong).is_some(), "byte {at}");
    }
}
