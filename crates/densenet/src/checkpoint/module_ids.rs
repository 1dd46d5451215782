//! Whole modules in the pickles that PyTorch 0.3 to 1.5 wrote, rewritten in terms that `pytorch-reader` knows.
//!
//! `torch.save(model)` recorded each module's class by a persistent id, the tuple `("module", class, file, source)`,
//! where the class alone would do. PyTorch 0.3 also created a parameter by a call of its class, with its other
//! attributes as a state. A pass over the opcodes, which builds nothing and runs nothing, finds both: a module's
//! persistent id is replaced by the class; a parameter's class becomes `torch._utils._rebuild_parameter`, and its state
//! is dropped.

use std::collections::HashMap;

use super::opcodes;

/// The class of parameters, and what creates one from a tensor.
const PARAMETER: &[u8] = b"ctorch.nn.parameter\nParameter\n";
const REBUILD_PARAMETER: &[u8] = b"ctorch._utils\n_rebuild_parameter\n";

/// What needs to be known about a value on the pickle's stack.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Mark,
    /// The text `module`.
    ModuleWord,
    /// A class, as the opcode that pushes it again.
    Class(Vec<u8>),
    /// The class of parameters.
    ParameterClass,
    /// The tuple that records a module's class.
    ModuleId(Vec<u8>),
    /// A parameter created by its class.
    Parameter,
    Other,
}

/// The rewritten `pickle`, which ends with its last byte; `None` where it holds neither or is not a sound pickle.
pub(super) fn reworded(pickle: &[u8]) -> Option<Vec<u8>> {
    let mut pass =
        Pass { stack: Vec::new(), memo: HashMap::new(), out: Vec::with_capacity(pickle.len()), changed: false };
    let mut at = 0;
    while at < pickle.len() {
        let end = at.checked_add(opcodes::length(&pickle[at..])?)?;
        pass.step(pickle.get(at..end)?)?;
        at = end;
    }
    pass.changed.then_some(pass.out)
}

struct Pass {
    stack: Vec<Value>,
    memo: HashMap<u64, Value>,
    out: Vec<u8>,
    changed: bool,
}

impl Pass {
    /// Processes one `opcode` with its arguments; `None` where the stack lacks what it needs.
    fn step(&mut self, opcode: &[u8]) -> Option<()> {
        let mut words = opcode.to_vec();
        match opcode[0] {
            b'(' => self.stack.push(Value::Mark),
            b'c' => {
                let parameter = opcode == PARAMETER;
                self.stack.push(if parameter { Value::ParameterClass } else { Value::Class(words.clone()) });
                if parameter {
                    words = REBUILD_PARAMETER.to_vec();
                    self.changed = true;
                }
            }
            b'X' | b'U' | b'T' | 0x8c => {
                let module = opcode.ends_with(b"module") && opcode.len() <= 11;
                self.stack.push(if module { Value::ModuleWord } else { Value::Other });
            }
            b'q' | b'r' | b'p' => _ = self.memo.insert(place(opcode)?, self.stack.last()?.clone()),
            b'h' | b'j' | b'g' => {
                let value = self.memo.get(&place(opcode)?).cloned().unwrap_or(Value::Other);
                // The class need not be written out again.
                self.stack.push(if let Value::Class(_) = value { Value::Class(words.clone()) } else { value });
            }
            b't' => {
                let items = self.since_mark()?;
                self.stack.push(match &*items {
                    [Value::ModuleWord, Value::Class(class), _, _] => Value::ModuleId(class.clone()),
                    _ => Value::Other,
                });
            }
            b'Q' => match self.stack.pop()? {
                Value::ModuleId(class) => {
                    words = [b"0", &*class].concat();
                    self.stack.push(Value::Class(class));
                    self.changed = true;
                }
                _ => self.stack.push(Value::Other),
            },
            b'R' => {
                self.stack.pop()?;
                let made = self.stack.pop()? == Value::ParameterClass;
                self.stack.push(if made { Value::Parameter } else { Value::Other });
            }
            b'b' => {
                self.stack.pop()?;
                if *self.stack.last()? == Value::Parameter {
                    words = b"0".to_vec();
                }
            }
            // Tuples, lists and dictionaries of everything since the mark.
            b'l' | b'd' | 0x90 | 0x91 => {
                self.since_mark()?;
                if opcode[0] != 0x90 {
                    self.stack.push(Value::Other);
                }
            }
            b'e' | b'u' | b'1' => _ = self.since_mark()?,
            // Opcodes that leave the stack's height as it is: frames, protocols, ends.
            0x80 | 0x95 | b'.' => {}
            b'2' => self.stack.push(self.stack.last()?.clone()),
            b'0' | b'a' => _ = self.stack.pop()?,
            b's' => self.replace(2, false)?,
            0x81 | 0x86 => self.replace(2, true)?,
            0x92 | 0x87 => self.replace(3, true)?,
            0x85 => self.replace(1, true)?,
            b'o' | b'i' => {
                self.since_mark()?;
                self.stack.push(Value::Other);
            }
            0x93 => self.replace(2, true)?,
            0x94 => _ = self.memo.insert(self.memo.len() as u64, self.stack.last()?.clone()),
            _ => self.stack.push(Value::Other),
        }
        self.out.extend(words);
        Some(())
    }

    /// Pops `count` values, and pushes their result if there is one.
    fn replace(&mut self, count: usize, makes: bool) -> Option<()> {
        self.stack.truncate(self.stack.len().checked_sub(count)?);
        if makes {
            self.stack.push(Value::Other);
        }
        Some(())
    }

    /// Pops the values since the last mark, and the mark.
    fn since_mark(&mut self) -> Option<Vec<Value>> {
        let mark = self.stack.iter().rposition(|value| *value == Value::Mark)?;
        let items = self.stack.split_off(mark);
        Some(items[1..].to_vec())
    }
}

/// The memo index that `opcode` names.
fn place(opcode: &[u8]) -> Option<u64> {
    match opcode[0] {
        b'g' | b'p' => std::str::from_utf8(&opcode[1..]).ok()?.trim().parse().ok(),
        _ => Some(opcode[1..].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modules_class_takes_the_place_of_its_persistent_id() {
        let pickle = b"\x80\x02(X\x06\x00\x00\x00moduleq\x00c__main__\nNet\nq\x01X\x01\x00\x00\x00fq\x02X\x01\x00\x00\x00sq\x03tq\x04Q)\x81q\x05.";
        let words = reworded(pickle).unwrap();
        let expected = b"\x80\x02(X\x06\x00\x00\x00moduleq\x00c__main__\nNet\nq\x01X\x01\x00\x00\x00fq\x02X\x01\x00\x00\x00sq\x03tq\x040c__main__\nNet\n)\x81q\x05.";
        assert_eq!(words, expected);
        // The second module of a class refers to everything by its memo index.
        let again = b"\x80\x02(X\x06\x00\x00\x00moduleq\x00c__main__\nNet\nq\x01h\x02h\x03tQ(h\x00h\x01NNtQ\x86.";
        assert!(reworded(again).unwrap().ends_with(b"(h\x00h\x01NNt0h\x01\x86."));
    }

    #[test]
    fn a_parameter_keeps_its_tensor_and_loses_its_state() {
        let pickle = b"\x80\x02ctorch.nn.parameter\nParameter\nq\x00N\x85q\x01Rq\x02(\x88\x89}q\x03tq\x04b.";
        let words = reworded(pickle).unwrap();
        assert_eq!(words, b"\x80\x02ctorch._utils\n_rebuild_parameter\nq\x00N\x85q\x01Rq\x02(\x88\x89}q\x03tq\x040.");
    }

    #[test]
    fn all_else_stays_as_it_is() {
        for pickle in
            [&b"\x80\x02(X\x07\x00\x00\x00storageq\x00Nq\x01NNtQ."[..], b"\x80\x02}q\x00.", b"\x80\x02t.", b"\x80"]
        {
            assert_eq!(reworded(pickle), None);
        }
    }
}
