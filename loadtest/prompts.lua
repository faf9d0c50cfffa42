-- Prompts of one size, each of them unique or so many in turn, for wrk: arguments are bytes, model, key, a stamp of the run,
-- milliseconds to pause before each request, how many there are (0: each is unique), a text that every answer has to have ("" for any), and further headers.
require("result")

local head, tail
local count, questions = 0, 0
wrong = 0  -- answers without the text; not local, so that result.lua can ask for it

function init(args)
  local bytes, model, key, stamp, pause, text = tonumber(args[1]), args[2], args[3], args[4], tonumber(args[5]), args[7]
  questions = tonumber(args[6])
  local before = '{"model":"' .. model .. '","messages":[{"role":"user","content":"' .. stamp .. " "
  local after = '"}],"max_tokens":100}'
  local padding = string.rep(" the quick brown fox jumps over", math.ceil(bytes / 30))
  tail = padding:sub(1, bytes - #before - 12 - #after) .. after
  head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " .. key
    .. "\r\nAccept: application/json\r\nContent-Type: application/json\r\nUser-Agent: loadtest\r\nContent-Length: "
    .. bytes .. "\r\n"
  for index = 8, #args do
    head = head .. args[index] .. "\r\n"
  end
  head = head .. "\r\n" .. before
  if pause > 0 then  -- merely to define it costs every request a timer
    delay = function() return pause end
  end
  if text ~= "" then  -- as this has wrk keep every answer
    response = function(status, headers, body)
      if status ~= 200 or not body:find(text, 1, true) then
        wrong = wrong + 1
      end
    end
  end
end

function request()
  count = count + 1
  if questions > 0 then
    count = count % questions
  end
  return head .. string.format("%012d", count) .. tail
end
