//! A row as it stands in a message: for each column nothing, an unchanged large value, or a stretch of text.

use std::ops::Range;

use crate::error::Error;
use crate::wire::Cursor;

/// One column of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Null.
    Null,
    /// A large value that the change did not touch and the server did not send.
    Unchanged,
    /// Not part of the old row that a change carries.
    Absent,
    /// Text at this place of the row's bytes.
    Text(Range<usize>),
}

/// The columns of a row. Kept and filled again for each row, so that rows cost no allocation.
#[derive(Clone, Debug, Default)]
pub struct Cells(pub Vec<Cell>);

impl Cells {
    /// Reads a tuple of pgoutput; places are relative to the cursor's slice.
    ///
    /// # Errors
    /// When it is malformed.
    #[inline]
    pub fn read_tuple(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        self.0.clear();
        for _ in 0..cursor.u16()? {
            let cell = match cursor.u8()? {
                b'n' => Cell::Null,
                b'u' => Cell::Unchanged,
                b't' => {
                    let length = cursor.u32()? as usize;
                    let start = cursor.position();
                    cursor.take(length)?;
                    Cell::Text(start..start + length)
                }
                _ => return Err(Error::Protocol("a column of unknown kind")),
            };
            self.0.push(cell);
        }
        Ok(())
    }

    /// In an old row of which only the replica identity is filled, what stands as null was not sent: the identity's own columns
    /// are never null.
    pub fn set_nulls_absent(&mut self) {
        for cell in &mut self.0 {
            if *cell == Cell::Null {
                *cell = Cell::Absent;
            }
        }
    }
}
