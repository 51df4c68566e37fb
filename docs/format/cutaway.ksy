meta:
  id: cutaway
  title: Cutaway device image
  file-extension: img
  endian: le
  license: MIT OR Apache-2.0
doc: |
  One device of a Cutaway node: two superblock slots, the WAL ring, the data region in units of 512 bytes. The same
  fields, in words, are in README.md beside this file.

  What a description of bytes cannot say: CRCs are not checked here, so `newest` goes by magic number and generation
  only; and whether a record of the ring is part of the log depends on its lsn, life and batch (`cutaway inspect` says
  for each).
instances:
  slot_a:
    pos: 0
    size: 512
    type: superblock
  slot_b:
    pos: 4096
    size: 512
    type: superblock
  newest:
    value: 'slot_b.is_one and (not slot_a.is_one or slot_b.generation > slot_a.generation) ? slot_b : slot_a'
  wal:
    pos: newest.wal_offset
    size: newest.wal_bytes
    type: wal_ring
    if: newest.is_one
  checkpoint:
    doc: The last chunk, which leads to the others; absent if the checkpoint is the empty one.
    pos: newest.data_offset + newest.checkpoint_unit * 512
    type: chunk
    if: newest.is_one and newest.checkpoint_bytes > 0
enums:
  standing:
    1: founding
    2: joining
    3: member
  kind:
    1: put
    2: delete
    3: noop
    4: truncate
  condition:
    0: always
    1: absent
    2: present
    3: version
types:
  superblock:
    seq:
      - id: magic
        type: u4
        doc: '"CUTA"'
      - id: crc
        type: u4
        doc: 'CRC-32C of bytes 8 to 511'
      - id: version
        type: u2
        doc: 'format version, 4'
      - id: standing
        type: u2
        enum: standing
        doc: '1 founding, 2 joining, 3 member'
      - id: unit
        type: u4
        doc: 'allocation unit in bytes, 512'
      - id: generation
        type: u8
        doc: 'the valid slot with the greater generation counts'
      - id: cluster
        size: 16
        doc: 'cluster id'
      - id: node
        type: u4
        doc: 'node id, from 1'
      - id: shard
        type: u4
        doc: 'shard, from 0'
      - id: wal_offset
        type: u8
        doc: 'byte offset of the WAL ring'
      - id: wal_bytes
        type: u8
        doc: 'bytes of the WAL ring'
      - id: data_offset
        type: u8
        doc: 'byte offset of the data region'
      - id: data_units
        type: u8
        doc: 'units of the data region'
      - id: promise
        type: u8
        doc: 'the greatest epoch promised; never goes back (E5)'
      - id: checkpoint_seq
        type: u8
        doc: 'the checkpoint holds the effect of all entries up to this one'
      - id: checkpoint_unit
        type: u8
        doc: 'first unit of the checkpoint''s last chunk'
      - id: checkpoint_bytes
        type: u4
        doc: 'bytes of that chunk; 0 if the checkpoint is the empty one'
      - id: checkpoint_crc
        type: u4
        doc: 'CRC of that chunk'
      - id: replay_lsn
        type: u8
        doc: 'replay starts here, at the beginning of a batch'
      - id: replay_batch
        type: u8
        doc: 'number of the batch there'
      - id: life
        type: u8
        doc: 'current life of the log; each recovery and each install begins a new one'
      - id: life_start
        type: u8
        doc: 'lsn at which this life begins; records from there on of other lives were discarded'
      - id: owed_epoch
        type: u8
        doc: 'epoch of the last entry that this device had, if it lost some of them to damage'
      - id: owed_seq
        type: u8
        doc: 'seq of that entry'
      - id: members
        type: u8
        doc: 'the nodes with a replica of the shard: bit n - 1 stands for node n'
      - id: shards
        type: u4
        doc: 'how many shards the cluster has'
    instances:
      is_one:
        value: magic == 0x41545543
  wal_ring:
    doc: A batch begins on a sector, so each sector is a place where records may begin.
    seq:
      - id: sectors
        type: wal_sector(_index)
        repeat: expr
        repeat-expr: _io.size / 512
  wal_sector:
    doc: |
      The records that begin at this sector and, behind each other, in the sectors after it, up to the last one of their
      batch. In a sector that is the middle of a batch, nothing is recognised, but for what an earlier lap left there.
    params:
      - id: index
        type: u8
    instances:
      records:
        pos: index * 512
        type: wal_record
        repeat: until
        repeat-until: not _.is_one or not _.body.whole or _.body.last == 1 or _io.size - _io.pos < 72
  wal_record:
    seq:
      - id: magic
        type: u4
        doc: '"CWAL"'
      - id: body
        type: wal_body
        if: is_one
    instances:
      is_one:
        value: magic == 0x4c415743
  wal_body:
    doc: The record behind its magic number.
    seq:
      - id: crc
        type: u4
        doc: 'CRC-32C of bytes 8 to the end of the record'
      - id: length
        type: u4
        doc: 'bytes of the whole record'
      - id: kind
        type: u1
        enum: kind
        doc: '1 put, 2 delete, 3 no-op, 4 truncate'
      - id: last
        type: u1
        doc: '1 on the last record of a batch'
      - id: key_bytes
        type: u2
        doc: 'length of the key'
      - id: tag_bytes
        type: u2
        doc: 'length of the tag'
      - id: condition
        type: u2
        enum: condition
        doc: '0 always, 1 absent, 2 present, 3 version'
      - id: value_bytes
        type: u4
        doc: 'length of the value'
      - id: lsn
        type: u8
        doc: 'where in the endless log the record begins'
      - id: life
        type: u8
        doc: 'life of the log that wrote it'
      - id: batch
        type: u8
        doc: 'batch it was written with'
      - id: seq
        type: u8
        doc: 'the entry, or the first entry undone'
      - id: version
        type: u8
        doc: 'the version that the condition asks for'
      - id: value_crc
        type: u4
        doc: 'CRC-32C of the value'
      - id: extents
        type: u4
        doc: 'how many extents the value lies in; 0 if there is no value'
      - id: where
        type: extent
        repeat: expr
        repeat-expr: extents
        if: whole
      - id: key
        size: key_bytes
        if: whole
      - id: tag
        size: tag_bytes
        if: whole
    instances:
      whole:
        doc: False for the record that goes on at the beginning of the ring, and for what is not a record after all.
        value: length == 72 + extents * 8 + key_bytes + tag_bytes and _io.size - _io.pos >= extents * 8 + key_bytes + tag_bytes
  extent:
    doc: |
      Where a part of a value lies, as its bare bytes. The last part is followed by zeros up to the end of its unit. In a
      record of the log: as far as nothing else has been written there since.
    seq:
      - id: unit_low
        type: u4
        doc: 'first unit, lower 32 bits'
      - id: unit_high
        type: u2
        doc: 'first unit, upper 16 bits'
      - id: units
        type: u2
        doc: 'how many units'
    instances:
      unit:
        value: unit_low + (unit_high << 32)
      part:
        io: _root._io
        pos: _root.newest.data_offset + unit * 512
        size: units * 512
  chunk:
    seq:
      - id: magic
        type: u4
        doc: '"CCHK"'
      - id: crc
        type: u4
        doc: 'CRC-32C of bytes 8 to the end of the piece'
      - id: piece_bytes
        type: u4
        doc: 'length of the piece of the stream'
      - id: number
        type: u4
        doc: 'chunks before this one'
      - id: seq
        type: u8
        doc: 'the checkpoint'
      - id: before_unit
        type: u8
        doc: 'first unit of the chunk before'
      - id: before_bytes
        type: u4
        doc: 'bytes of the chunk before; 0 in the first'
      - id: before_crc
        type: u4
        doc: 'CRC of the chunk before'
      - id: piece
        doc: |
          A piece of the checkpoint's stream: head, the owner's state, then the items. Items may cross from one piece into
          the next, so only a checkpoint of one chunk is taken apart here.
        size: piece_bytes
        type: stream
        if: is_one and number == 0 and _root.newest.checkpoint_unit * 512 + _root.newest.data_offset == start
      - id: raw_piece
        size: piece_bytes
        if: is_one and not (number == 0 and _root.newest.checkpoint_unit * 512 + _root.newest.data_offset == start)
    instances:
      is_one:
        value: magic == 0x4b484343
      start:
        value: _io.pos - 40
      before:
        io: _root._io
        pos: _root.newest.data_offset + before_unit * 512
        type: chunk
        if: is_one and before_bytes > 0
  stream:
    seq:
      - id: head
        type: stream_head
      - id: host_state
        size: head.host_bytes
      - id: items
        type: item
        repeat: expr
        repeat-expr: head.keys
  stream_head:
    seq:
      - id: keys
        type: u8
        doc: 'how many items there are'
      - id: host_bytes
        type: u8
        doc: 'length of the owner''s state'
  item:
    seq:
      - id: version
        type: u8
        doc: 'the entry that wrote the value'
      - id: value_bytes
        type: u4
        doc: 'length of the value'
      - id: value_crc
        type: u4
        doc: 'CRC-32C of the value'
      - id: key_bytes
        type: u2
        doc: 'length of the key'
      - id: extents
        type: u2
        doc: 'how many extents the value lies in'
      - id: where
        type: extent
        repeat: expr
        repeat-expr: extents
      - id: key
        size: key_bytes
