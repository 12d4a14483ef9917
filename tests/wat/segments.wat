;; Passive segments: used, dropped, used again, which traps.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\04\00\00\00")
  (data $d "fine")
  (func (export "_start")
    (memory.init $d (i32.const 16) (i32.const 0) (i32.const 4))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (data.drop $d)
    (memory.init $d (i32.const 16) (i32.const 0) (i32.const 4))))
