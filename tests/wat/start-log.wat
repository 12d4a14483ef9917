;; A start function that uses the host, before _start does.
(module
  (import "aileron_host" "log" (func $log (param i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "info")
  (data (i32.const 8) "begun")
  (data (i32.const 16) "ended")
  (func $begin (call $log (i32.const 0) (i32.const 4) (i32.const 8) (i32.const 5)))
  (start $begin)
  (func (export "_start") (call $log (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 5))))
