;; An active segment behind the end of memory: instantiation traps.
(module
  (memory (export "memory") 1)
  (data (i32.const 65535) "xx")
  (func (export "_start")))
