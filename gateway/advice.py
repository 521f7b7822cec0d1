"""What is wrong with a device or a value, in words for the technician who stands in front of it.

Four tables, each complete for what the program can say: the causes of gaps, Modbus exceptions by code, the
faults of refused answers, and the reasons of qualities. Each text says what happened and what to do first.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.model import Reason, Text, reason_of


def _text(zh: str, en: str) -> Text:
    return {"zh": zh, "en": en}


GAPS: Mapping[str, Text] = {
    "timeout": _text(
        "设备没有回答。检查电源、站号、A/B 线是否接反、终端电阻。",
        "The device does not answer. Check its power, its address, swapped A and B, the terminator.",
    ),
    "garbled": _text(
        "回答已损坏或不是对本次询问的回答，已拒收。检查波特率、校验位、屏蔽接地，以及是否有两台设备同一站号。",
        "The answer was damaged or not the one asked for, and was refused. Check baud rate, parity, shield,"
        " and whether two devices share one address.",
    ),
    "exception": _text(
        "设备在线，但拒绝了本次读取。核对型号模板与设备固件的寄存器表。",
        "The device is there but refused this read. Compare the profile with the registers of its firmware.",
    ),
    "line": _text(
        "线路不通：网口或串口打不开。检查网线、交换机、IP 和端口，串口是否被其他程序占用。",
        "The line is down: connection or port does not open. Check cable, switch, IP and port, and whether"
        " another program holds the serial port.",
    ),
    "breaker": _text(
        "设备已多次不答，现只偶尔探询，以免拖慢同线路的其他设备。恢复后会自动继续。",
        "The device kept silent and is only probed now, so that it does not hold up the others on its line."
        " It goes on by itself when it answers.",
    ),
    "missed": _text(
        "线路太忙，本轮来不及读。延长采集周期，或把设备分到两条线路。",
        "The line was too busy for this round. Lengthen the periods, or spread the devices over two lines.",
    ),
    "no_value": _text(
        "回答里没有这一点的值。核对模板里的地址和语句名。",
        "The answer held no value for this point. Check its address and sentence name in the profile.",
    ),
    "error": _text(
        "程序处理回答时出错，已记入日志。请把日志发给开发者。",
        "The program failed on this answer; it is in the log. Send the log to the developers.",
    ),
    "stopped": _text(
        "采集在本轮中途停止（重启或更换配置）。无需处理。",
        "Polling stopped in the middle of the round (restart or new configuration). Nothing to do.",
    ),
}
"""By the cause of a gap, as in `account`."""

EXCEPTIONS: Mapping[int, Text] = {
    1: _text(
        "异常码 1：设备不支持这种读法。检查模板的寄存器区（保持/输入/线圈）。",
        "Exception 1: the device does not know this function. Check the area (holding, input, coil) in the"
        " profile.",
    ),
    2: _text(
        "异常码 2：设备没有这个地址。常见原因是地址从 0 还是从 1 数起，或型号、固件不同。",
        "Exception 2: the device has no such address. Often counting from 1 instead of 0, or another model or"
        " firmware.",
    ),
    3: _text(
        "异常码 3：一次读得太长或值不合法。把模板的 max_registers 调小。",
        "Exception 3: the read is too long, or a value is illegal. Lower max_registers in the profile.",
    ),
    4: _text(
        "异常码 4：设备内部故障。断电重启；仍有则报修设备。",
        "Exception 4: the device failed inside. Power it off and on; if it stays, have it repaired.",
    ),
    5: _text(
        "异常码 5：设备还在处理。加长超时时间。",
        "Exception 5: the device is still working on it. Lengthen the time-out.",
    ),
    6: _text(
        "异常码 6：设备忙。延长采集周期，或设 gap_s 拉开两次询问。",
        "Exception 6: the device is busy. Lengthen the period, or set gap_s between requests.",
    ),
    8: _text(
        "异常码 8：设备存储器校验错误。报修设备。",
        "Exception 8: the memory of the device is damaged. Have it repaired.",
    ),
    10: _text(
        "异常码 10：网关没有通往该设备的通道。检查网关的端口与站号映射。",
        "Exception 10: the converter has no path to this device. Check its mapping of ports and addresses.",
    ),
    11: _text(
        "异常码 11：网关后面的设备不答。检查该设备的电源、站号和 485 接线。",
        "Exception 11: the device behind the converter is silent. Check its power, address and wiring.",
    ),
}
"""By Modbus exception code."""

FAULTS: Mapping[str, Text] = {
    "crc": _text(
        "校验和不对：传输中受干扰。检查屏蔽、接地、终端电阻，或降低波特率。",
        "The check sum is wrong: disturbed on its way. Check shield, ground, terminator; or lower the speed.",
    ),
    "cut": _text(
        "回答只来了一半。检查接触不良、设备重启，或加长超时时间。",
        "Only half of the answer came. Look for a bad contact or a restarting device; lengthen the time-out.",
    ),
    "short": _text(
        "回答的数据比询问的少。设备固件不合规；把 max_registers 调小或用 one_field_per_request。",
        "Fewer data than asked for: the firmware breaks the protocol. Lower max_registers or use"
        " one_field_per_request.",
    ),
    "long": _text(
        "回答的数据比询问的多，或两台设备同时回答。检查站号是否重复。",
        "More data than asked for, or two devices answered at once. Look for a doubled address.",
    ),
    "byte_count": _text(
        "回答里的字节数与实际不符。设备固件有缺陷，请联系厂家。",
        "The answer states another length than it has: a defect of the firmware. Ask the maker.",
    ),
    "foreign_unit": _text(
        "别的站号作了回答。检查站号设置，总线上是否另有主站。",
        "Another address answered. Check the addresses, and whether a second master is on the bus.",
    ),
    "foreign_function": _text(
        "回答的功能码不是所问的。总线上可能另有主站。",
        "The answer is to another function. There may be a second master on the bus.",
    ),
    "foreign_transaction": _text(
        "回答的事务号不是所问的。网关固件不合规，或有两个主站共用连接。",
        "The answer has a foreign transaction number: a defect of the converter, or masters share it.",
    ),
    "confirm": _text(
        "设备确认的地址或数值与写入的不同。先读回，再决定是否重写。",
        "The device confirmed another address or value than was written. Read it back before writing again.",
    ),
    "late": _text(
        "回答来得太晚，已丢弃。加长超时时间，或检查网络延迟。",
        "The answer came too late and was thrown away. Lengthen the time-out, or check the network's delay.",
    ),
    "junk": _text(
        "收到的不是本协议的数据。检查协议种类、波特率和校验位。",
        "What came is not this protocol. Check the kind of line, baud rate and parity.",
    ),
    "babble": _text(
        "线路上一直有人说话。检查卡死的设备、第二个主站、缺少的偏置电阻。",
        "Somebody talks on the line all the time. Look for a stuck device, a second master, missing bias.",
    ),
    "echo": _text(
        "收到了自己发出的数据。485 转换器有回显：设 local_echo: true；否则是两台同时发送。",
        "The line echoes what is sent: set local_echo: true; otherwise two talk at the same time.",
    ),
}
"""By the fault of a refused answer, as in the statistics of a line."""

REASONS: Mapping[Reason, Text] = {
    Reason.NONE: _text("正常。", "Good."),
    Reason.SENTINEL: _text(
        "设备送来的是代码而不是数值：传感器未接、未启用或故障。",
        "The device sent a code instead of a value: its sensor is missing, switched off or faulty.",
    ),
    Reason.OUT_OF_RANGE: _text(
        "数值超出物理上可能的范围。检查传感器；新装设备则核对倍率和字序。",
        "Outside of what is physically possible. Check the sensor; on a new device the scale and word order.",
    ),
    Reason.NOT_A_NUMBER: _text(
        "寄存器内容不是有效的数或文字。核对类型和字序；若一向正常，则检查设备。",
        "The registers hold no valid number or text. Check type and word order; or the device.",
    ),
    Reason.DEVICE_FAULT: _text(
        "设备自己报告该通道故障。看设备面板上的故障码。",
        "The device itself reports a fault of this channel. Look at the code on its display.",
    ),
    Reason.SENSOR_OPEN: _text(
        "传感器断线。检查接线端子和电缆。", "The sensor's circuit is open. Check terminals and cable."
    ),
    Reason.SENSOR_SHORT: _text(
        "传感器短路。检查电缆绝缘和进水。", "The sensor is short-circuited. Check insulation and moisture."
    ),
    Reason.UNDER_RANGE: _text(
        "低于设备量程。检查传感器和量程设置。", "Below the device's range. Check the sensor and its range."
    ),
    Reason.OVER_RANGE: _text(
        "高于设备量程，或计数大到无法准确表示。检查传感器和量程设置。",
        "Above the device's range, or a count too large to be exact. Check the sensor and its range.",
    ),
    Reason.BAD_ENUM: _text(
        "设备送来模板里没有的状态码。核对固件版本，补充模板。",
        "The device sent a code that the profile does not know. Check its firmware; add the code.",
    ),
    Reason.NEVER_SEEN: _text(
        "网关后面的设备从未应答。检查该设备是否接上。",
        "The device behind the gateway has never answered. Check that it is connected.",
    ),
    Reason.DEVICE_STALE: _text(
        "设备说它自己的读数已过时。检查设备与传感器之间的连接。",
        "The device says that its own reading is old. Check the link between it and its sensor.",
    ),
    Reason.BAD_CHECKSUM: _text(
        "设备内部数据校验错误。重启设备；仍有则报修。",
        "The device's own data fail their check. Restart it; if it stays, have it repaired.",
    ),
    Reason.CLOCK_STEP: _text(
        "时间戳可疑：时钟被调过。检查边缘机的对时。",
        "The time stamp is doubtful: a clock was set. Check the time service of the edge.",
    ),
    Reason.CALIBRATING: _text(
        "传感器正在校准或预热。等待结束。", "The sensor is calibrating or warming up. Wait for its end."
    ),
    Reason.SIMULATED: _text("模拟值，不是实测。", "A simulated value, not a measured one."),
    Reason.NO_ANSWER: GAPS["timeout"],
    Reason.GATEWAY_LOST: _text(
        "边缘机没有消息。检查它的电源和网络。", "The edge is silent. Check its power and network."
    ),
}
"""By the reason of a quality."""

UNKNOWN = _text("未知原因；请看日志。", "Unknown cause; see the log.")


def of_gap(cause: str) -> Text:
    """The words for the cause of a gap."""
    return GAPS.get(cause, UNKNOWN)


def of_exception(code: int) -> Text:
    """The words for a Modbus exception."""
    return EXCEPTIONS.get(code, GAPS["exception"])


def of_fault(fault: str) -> Text:
    """The words for the fault of a refused answer."""
    return FAULTS.get(fault, GAPS["garbled"])


def of_quality(q: int) -> Text:
    """The words for a stored quality byte."""
    return REASONS.get(reason_of(q), UNKNOWN)
