//! The system call filter: no set-user-id files, no extended attributes.
//!
//! As in the reference (`setupSeccomp` in `libstore/unix/build/linux-derivation-builder.cc`) builders can't make
//! set-user-id or set-group-id files, and find extended attributes unsupported, since the NAR format has neither.
//! Canonicalisation takes both away from outputs anyway; the filter is what makes builders see it.

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};

/// The system calls of one architecture. Numbers: Linux `arch/*/entry/syscalls/*.tbl`, `asm-generic/unistd.h`.
struct Architecture {
    /// `AUDIT_ARCH_*`.
    audit: u32,
    /// Bits of the number that are masked off: the mark of x32.
    mask: u32,
    /// Calls with the mode as second argument.
    mode_second: &'static [u32],
    /// Calls with the mode as third argument.
    mode_third: &'static [u32],
    /// setxattr, lsetxattr, fsetxattr, getxattr, lgetxattr, fgetxattr.
    attributes: &'static [u32],
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        audit: 0xC000_003E,
        mask: 0x4000_0000,
        mode_second: &[90, 91],
        mode_third: &[268, 452],
        attributes: &[188, 189, 190, 191, 192, 193],
    },
    Architecture {
        audit: 0x4000_0003,
        mask: 0,
        mode_second: &[15, 94],
        mode_third: &[306, 452],
        attributes: &[226, 227, 228, 229, 230, 231],
    },
];

#[cfg(target_arch = "aarch64")]
const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        audit: 0xC000_00B7,
        mask: 0,
        mode_second: &[52],
        mode_third: &[53, 452],
        attributes: &[5, 6, 7, 8, 9, 10],
    },
    Architecture {
        audit: 0x4000_0028,
        mask: 0,
        mode_second: &[15, 94],
        mode_third: &[333, 452],
        attributes: &[226, 227, 228, 229, 230, 231],
    },
];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURES: &[Architecture] = &[];

/// Offsets in `struct seccomp_data`; arguments are 64 bits wide and little-endian on the machines above.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const SECOND_ARGUMENT: u32 = 16 + 8;
const THIRD_ARGUMENT: u32 = 16 + 16;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_THREAD;
const NOT_PERMITTED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const NOT_SUPPORTED: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOTSUP as u32;
const SET_ID_BITS: u32 = 0o6000;

fn statement(code: u32, value: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k: value }
}

fn jump(test: u32, value: u32, when_true: u8, when_false: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | test | BPF_K) as u16, jt: when_true, jf: when_false, k: value }
}

fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

fn answer(value: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, value)
}

/// The filter, empty on machines it isn't written for.
pub(crate) fn filter() -> Vec<sock_filter> {
    let mut program = Vec::new();
    for architecture in ARCHITECTURES {
        let block = block(architecture);
        program.push(load(ARCHITECTURE));
        program.push(jump(BPF_JEQ, architecture.audit, 0, block.len() as u8));
        program.extend(block);
    }
    if !program.is_empty() {
        // A builder that switches to an architecture without rules could evade them.
        program.push(answer(KILL));
    }
    program
}

fn block(architecture: &Architecture) -> Vec<sock_filter> {
    let mut block = vec![load(NUMBER)];
    if architecture.mask != 0 {
        block.push(statement(libc::BPF_ALU | libc::BPF_AND | BPF_K, !architecture.mask));
    }
    for number in architecture.attributes {
        block.push(jump(BPF_JEQ, *number, 0, 1));
        block.push(answer(NOT_SUPPORTED));
    }
    for (numbers, argument) in
        [(architecture.mode_second, SECOND_ARGUMENT), (architecture.mode_third, THIRD_ARGUMENT)]
    {
        for number in numbers {
            block.push(jump(BPF_JEQ, *number, 0, 4));
            block.push(load(argument));
            block.push(jump(BPF_JSET, SET_ID_BITS, 0, 1));
            block.push(answer(NOT_PERMITTED));
            block.push(answer(ALLOW));
        }
    }
    block.push(answer(ALLOW));
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter as the kernel would.
    fn run(program: &[sock_filter], number: u32, audit: u32, arguments: [u64; 6]) -> u32 {
        let read = |offset: u32| match offset {
            NUMBER => number,
            ARCHITECTURE => audit,
            _ => {
                let at = (offset - 16) as usize;
                let argument = arguments[at / 8].to_le_bytes();
                u32::from_le_bytes(argument[at % 8..at % 8 + 4].try_into().unwrap())
            }
        };
        let (mut accumulator, mut at) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            let code = u32::from(step.code);
            if code == BPF_LD | BPF_W | BPF_ABS {
                accumulator = read(step.k);
            } else if code == libc::BPF_ALU | libc::BPF_AND | BPF_K {
                accumulator &= step.k;
            } else if code == BPF_JMP | BPF_JEQ | BPF_K {
                at += usize::from(if accumulator == step.k { step.jt } else { step.jf });
            } else if code == BPF_JMP | BPF_JSET | BPF_K {
                at += usize::from(if accumulator & step.k != 0 { step.jt } else { step.jf });
            } else {
                assert_eq!(code, BPF_RET | BPF_K);
                return step.k;
            }
        }
    }

    #[test]
    fn every_architecture_forbids_set_id_modes_and_attributes() {
        let program = filter();
        assert!(program.len() < 4096);
        for architecture in ARCHITECTURES {
            let audit = architecture.audit;
            for (numbers, at) in [(architecture.mode_second, 1), (architecture.mode_third, 2)] {
                for number in numbers {
                    for (mode, expected) in [
                        (0o755, ALLOW),
                        (0o4755, NOT_PERMITTED),
                        (0o2755, NOT_PERMITTED),
                        (0o6000, NOT_PERMITTED),
                        (0o1777, ALLOW),
                    ] {
                        let mut arguments = [0; 6];
                        arguments[at] = mode;
                        assert_eq!(run(&program, *number, audit, arguments), expected, "{number} {mode:o}");
                        if architecture.mask != 0 {
                            let marked = number | architecture.mask;
                            assert_eq!(run(&program, marked, audit, arguments), expected);
                        }
                    }
                }
            }
            for number in architecture.attributes {
                assert_eq!(run(&program, *number, audit, [0; 6]), NOT_SUPPORTED);
            }
            assert_eq!(run(&program, 0, audit, [u64::MAX; 6]), ALLOW);
        }
        if !program.is_empty() {
            assert_eq!(run(&program, 0, 0x1234, [0; 6]), KILL);
        }
    }
}
