//! From Linux's error numbers to WASI's error codes: the table of wasmtime-wasi 48, so that a guest sees the same code on
//! every engine. What that table leaves out (a full quota, a read-only file system, too many open files) is `io` there and here.

use std::io;

use rustix::io::Errno;
use vyoma_component::services::IoError;
use vyoma_component::wasi::filesystem::ErrorCode;

/// The code of an error of the kernel or of the standard library.
pub(super) fn code(error: &io::Error) -> ErrorCode {
    error
        .raw_os_error()
        .and_then(|number| of_errno(Errno::from_raw_os_error(number)))
        .unwrap_or_else(|| match error.kind() {
            io::ErrorKind::NotFound => ErrorCode::NoEntry,
            io::ErrorKind::PermissionDenied => ErrorCode::NotPermitted,
            io::ErrorKind::AlreadyExists => ErrorCode::Exist,
            io::ErrorKind::InvalidInput => ErrorCode::Invalid,
            _ => ErrorCode::Io,
        })
}

fn of_errno(errno: Errno) -> Option<ErrorCode> {
    Some(match errno {
        Errno::ACCESS => ErrorCode::Access,
        Errno::ALREADY => ErrorCode::Already,
        Errno::BADF => ErrorCode::BadDescriptor,
        Errno::BUSY => ErrorCode::Busy,
        Errno::EXIST => ErrorCode::Exist,
        Errno::FBIG => ErrorCode::FileTooLarge,
        Errno::ILSEQ => ErrorCode::IllegalByteSequence,
        Errno::INPROGRESS => ErrorCode::InProgress,
        Errno::INTR => ErrorCode::Interrupted,
        Errno::INVAL => ErrorCode::Invalid,
        Errno::IO => ErrorCode::Io,
        Errno::ISDIR => ErrorCode::IsDirectory,
        Errno::LOOP => ErrorCode::Loop,
        Errno::MLINK => ErrorCode::TooManyLinks,
        Errno::NAMETOOLONG => ErrorCode::NameTooLong,
        Errno::NOENT => ErrorCode::NoEntry,
        Errno::NOMEM => ErrorCode::InsufficientMemory,
        Errno::NOSPC => ErrorCode::InsufficientSpace,
        Errno::NOTDIR => ErrorCode::NotDirectory,
        Errno::NOTEMPTY => ErrorCode::NotEmpty,
        // The same number as ENOTSUP.
        Errno::OPNOTSUPP => ErrorCode::Unsupported,
        Errno::OVERFLOW => ErrorCode::Overflow,
        Errno::PERM => ErrorCode::NotPermitted,
        Errno::PIPE => ErrorCode::Pipe,
        Errno::SPIPE => ErrorCode::InvalidSeek,
        _ => return None,
    })
}

/// What a failed operation of a stream is as `wasi:io/error`: of files, and of every other descriptor, because
/// `filesystem-error-code` knows the code of any failed system call.
pub(crate) fn io_error(error: impl Into<io::Error>) -> IoError {
    let error = error.into();
    IoError {
        message: error.to_string(),
        filesystem_code: Some(code(&error) as u8),
    }
}
