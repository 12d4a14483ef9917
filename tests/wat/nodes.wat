;; [{},{},…] to exactly one megabyte: as long as standard output may be.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 20)
  (data (i32.const 0) "\10\00\00\00\00\00\10\00")
  (func (export "_start") (local $at i32)
    (local.set $at (i32.const 17))
    (i32.store8 (i32.const 16) (i32.const 91))
    (loop $l
      (i32.store8 (local.get $at) (i32.const 123))
      (i32.store8 offset=1 (local.get $at) (i32.const 125))
      (i32.store8 offset=2 (local.get $at) (i32.const 44))
      (br_if $l (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 3))) (i32.const 1048589))))
    (i32.store8 (i32.const 1048589) (i32.const 123))
    (i32.store8 (i32.const 1048590) (i32.const 125))
    (i32.store8 (i32.const 1048591) (i32.const 93))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
